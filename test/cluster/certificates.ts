/** A certificate authority with certificates for etcd and its clients, made by openssl. */
import { mkdirSync, readFileSync, writeFileSync } from "node:fs"
import { join } from "node:path"
import { run } from "../clients/program.ts"

/** Paths of PEM files. */
export interface Certificates {
  readonly ca: string
  readonly serverCert: string
  readonly serverKey: string
  readonly clientCert: string
  readonly clientKey: string
}

/** As `secureFetch` takes them. */
export function clientTls(certificates: Certificates): { ca: string; cert: string; key: string } {
  return {
    ca: readFileSync(certificates.ca, "utf8"),
    cert: readFileSync(certificates.clientCert, "utf8"),
    key: readFileSync(certificates.clientKey, "utf8"),
  }
}

/**
 * Makes an authority, a server's certificate for the addresses, and a client's.
 *
 * With --client-cert-auth etcd's gateway dials etcd with the server's certificate, which therefore
 * is a client's too; and it refuses clients whose certificate has a common name once authentication
 * is on.
 */
export async function makeCertificates(
  directory: string,
  addresses: readonly string[],
): Promise<Certificates> {
  mkdirSync(directory, { recursive: true })
  const file = (name: string) => join(directory, name)
  const key = ["-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:prime256v1", "-nodes"]
  await run([
    ...["openssl", "req", "-x509", ...key, "-days", "2", "-subj", "/CN=test authority"],
    ...["-keyout", file("ca.key"), "-out", file("ca.pem")],
  ])
  const sign = async (name: string, subject: string, extensions: readonly string[]) => {
    writeFileSync(file(`${name}.ext`), `${extensions.join("\n")}\n`)
    await run([
      ...["openssl", "req", ...key, "-subj", subject],
      ...["-keyout", file(`${name}.key`), "-out", file(`${name}.csr`)],
    ])
    await run([
      ...["openssl", "x509", "-req", "-days", "2", "-in", file(`${name}.csr`)],
      ...["-CA", file("ca.pem"), "-CAkey", file("ca.key"), "-CAcreateserial"],
      ...["-extfile", file(`${name}.ext`), "-out", file(`${name}.pem`)],
    ])
  }
  const names = addresses.map((address) => `IP:${address}`).join(",")
  await sign("server", "/O=test/CN=etcd", [
    `subjectAltName=${names}`,
    "extendedKeyUsage=serverAuth,clientAuth",
  ])
  await sign("client", "/O=test", ["extendedKeyUsage=clientAuth"])
  return {
    ca: file("ca.pem"),
    serverCert: file("server.pem"),
    serverKey: file("server.key"),
    clientCert: file("client.pem"),
    clientKey: file("client.key"),
  }
}
