"""Post from threads to the main one."""

from __future__ import annotations

import os

from melpy.engine.post import Post


def test_who_comes_too_late_writes_into_no_other_file() -> None:
    """A thread may end after the main one has gone on, which has opened other files by then."""
    post = Post()
    deliver = post.wrap(lambda _: None)
    deliver("in time")
    assert len(post.take()) == 1
    post.close()
    ends = [os.pipe2(os.O_NONBLOCK) for _ in range(4)]  # the numbers of closed files are given again
    try:
        deliver("too late")
        for read, _ in ends:
            try:
                assert os.read(read, 1) == b""
            except BlockingIOError:
                continue
    finally:
        for read, write in ends:
            os.close(read)
            os.close(write)
