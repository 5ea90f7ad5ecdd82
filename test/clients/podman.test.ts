import { describeRuntime } from "./contract.ts"
import { setUpPodman } from "./podman.ts"

describeRuntime("podman", setUpPodman)
