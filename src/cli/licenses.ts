import { notices } from "../packaging/notices.generated.ts"

/** `lariat licenses`: notices of all that the program holds of others. */
export function licenses(): number {
  console.log(notices)
  return 0
}
