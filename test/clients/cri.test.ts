import { describeRuntime } from "./contract.ts"
import { setUpCri } from "./cri.ts"

describeRuntime("cri", setUpCri)
