"""Starting while the provider is down: from exec to the first connection and to the first answer, and the memory then."""

import socket
import time
from statistics import median

from . import servers
from .processes import free_port, resident
from .table import heading, table


def measure(world, clients, starts):
    heading(f"Start with the provider down: median of {starts}")
    nobody = f"http://127.0.0.1:{free_port()}"
    candidates = {
        "nginx plain": lambda: servers.nginx(world),
        "Apache plain": lambda: servers.apache(world),
        "Doorward": lambda: servers.doorward(world, clients["doorward"], key=servers.new_key(), issuer=nobody),
    }
    # once before, so that everybody's files are in memory
    for start in candidates.values():
        _start(start)
    figures = {name: [] for name in candidates}
    for _ in range(starts):
        for name, start in candidates.items():
            figures[name].append(_start(start))
    rows = {name: [median(column) for column in zip(*found)] for name, found in figures.items()}
    table(
        ["proxy", "ms to listening", "ratio", "ms to first answer", "MiB resident"],
        [
            [name, f"{listening * 1e3:.1f}", f"{listening / rows['nginx plain'][0]:.2f}", f"{answer * 1e3:.1f}", f"{memory / 2**20:.1f}"]
            for name, (listening, answer, memory) in rows.items()
        ],
    )


def _start(start):
    """Seconds until somebody can connect, seconds until somebody has an answer, bytes resident when all is quiet."""
    began = time.perf_counter()
    with start() as program:
        program.ready(pause=0.0002)
        listening = time.perf_counter() - began
        with socket.create_connection(("127.0.0.1", program.port), timeout=10) as caller:
            caller.sendall(f"GET / HTTP/1.1\r\nHost: 127.0.0.1:{program.port}\r\n\r\n".encode())
            caller.recv(1)
        answered = time.perf_counter() - began
        time.sleep(0.2)
        return listening, answered, resident(program.pid)
