"""A relay that delays what passes, as a long way does: `python -m benchmarks.delay_relay PORT ROUND_TRIP_MS`.

Prints its own port on the first line. Order is kept, the bandwidth is not limited.
"""

import asyncio
import sys

CHUNK = 262_144


async def _carry(reader: asyncio.StreamReader, writer: asyncio.StreamWriter, delay: float) -> None:
    loop = asyncio.get_running_loop()
    queue: asyncio.Queue[tuple[float, bytes]] = asyncio.Queue(maxsize=1000)

    async def send() -> None:
        while True:
            at, data = await queue.get()
            if (wait := at - loop.time()) > 0:
                await asyncio.sleep(wait)
            if not data:
                writer.close()
                return
            writer.write(data)
            await writer.drain()

    sending = asyncio.create_task(send())
    try:
        while data := await reader.read(CHUNK):
            await queue.put((loop.time() + delay, data))
    except OSError:
        pass
    await queue.put((loop.time() + delay, b""))
    await asyncio.gather(sending, return_exceptions=True)


async def main(port: int, round_trip_ms: float) -> None:
    """Relay until killed."""
    delay = round_trip_ms / 2000

    async def accept(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        far_reader, far_writer = await asyncio.open_connection("127.0.0.1", port, limit=4_000_000)
        await asyncio.gather(
            _carry(reader, far_writer, delay), _carry(far_reader, writer, delay), return_exceptions=True
        )

    server = await asyncio.start_server(accept, "127.0.0.1", 0, limit=4_000_000)
    print(server.sockets[0].getsockname()[1], flush=True)
    async with server:
        await server.serve_forever()


if __name__ == "__main__":
    asyncio.run(main(int(sys.argv[1]), float(sys.argv[2])))
