import { describeRuntime } from "./contract.ts"
import { setUpCtr } from "./ctr.ts"

describeRuntime("ctr", setUpCtr)
