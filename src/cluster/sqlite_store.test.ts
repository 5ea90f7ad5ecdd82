import { DatabaseSync } from "node:sqlite"
import { storeContract } from "../../test/cluster/store_contract.ts"
import { SqliteStore } from "./sqlite_store.ts"

storeContract(
  "the embedded store",
  async () => new SqliteStore(new DatabaseSync(":memory:"), () => performance.now()),
)
