"""Values fetched from workers: one question, one answer."""

import asyncio

from fastsched.config import Config
from fastsched.net.data import DataPeers
from fastsched.wire.messages import Data, DatumItem, Role
from tests.servers.net import KEYS, run, server, stream_of

CONFIG = Config(control_bytes=2000)


@run
async def test_an_answer_that_is_too_long_for_one_message_is_one_answer(tmp_path):
    async with server(CONFIG, tmp_path) as (listener, let_in):
        peers = DataPeers(asyncio.get_running_loop(), Role.CLIENT, KEYS[Role.CLIENT], CONFIG)
        answers = asyncio.Queue()
        address = str(listener.address)
        peers.ask(address, (1, 2, 3, 4), lambda *answer: answers.put_nowait(answer))
        stream, box = stream_of(await let_in.get(), CONFIG)
        ((request, ids),) = await box.received(1)
        stream.send(Data(request, tuple(DatumItem(id, (bytes(800),)) for id in ids)))
        assert await answers.get() == (address, [(id, (bytes(800),)) for id in (1, 2, 3, 4)])
        assert answers.empty()
        peers.close()
        await box.closed()
