import { spawn, type ChildProcess } from 'node:child_process'
import { once } from 'node:events'
import { mkdtemp, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { createInterface } from 'node:readline'

/** A running `canopy demo` with a database of its own. */
export interface DemoServer {
  /** With a slash at its end. */
  url: string
  /** Ends the server and starts another one at the same address, on the same database. */
  restart(): Promise<void>
  /** Ends the server and deletes its database. */
  stop(): Promise<void>
}

/** Starts the binary that CANOPY_BINARY names, built with the tag ui. */
export async function startDemo(): Promise<DemoServer> {
  const binary = process.env.CANOPY_BINARY
  if (!binary) throw new Error('CANOPY_BINARY has to name the server, built with the tag ui')
  const folder = await mkdtemp(join(tmpdir(), 'canopy-'))
  const start = (listen: string) =>
    spawn(binary, ['demo', '--listen', listen, '--database', join(folder, 'demo.db')], { stdio: ['ignore', 'pipe', 'pipe'] })
  let server = start('127.0.0.1:0')
  const end = async () => {
    if (server.exitCode === null && server.signalCode === null) {
      server.kill('SIGINT')
      await once(server, 'exit')
    }
  }
  const stop = async () => {
    await end()
    await rm(folder, { recursive: true, force: true })
  }
  try {
    const url = await printedAddress(server)
    const restart = async () => {
      await end()
      server = start(new URL(url).host)
      await printedAddress(server)
    }
    return { url, restart, stop }
  } catch (failure) {
    await stop()
    throw failure
  }
}

/** The address that the server prints once it listens. */
function printedAddress(server: ChildProcess): Promise<string> {
  return new Promise((resolve, reject) => {
    const printed: string[] = []
    for (const output of [server.stdout!, server.stderr!]) {
      createInterface(output).on('line', (line) => {
        printed.push(line)
        const address = /http:\/\/127\.0\.0\.1:\d+\//.exec(line)
        if (address) resolve(address[0])
      })
    }
    server.once('error', reject)
    server.once('exit', (code) => reject(new Error(`the server ended with ${code}:\n${printed.join('\n')}`)))
  })
}
