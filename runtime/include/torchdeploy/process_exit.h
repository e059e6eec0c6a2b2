// How a process that holds interpreters ends.
#pragma once

namespace torchdeploy {

// Runs the atexit handlers of every interpreter on its own thread, flushes the streams of
// Python and of C, and ends the process with `code` by _exit(), which a running call cannot
// crash. Plain exit() is safe only while no call runs, and skips Python's atexit handlers.
// REQUIRES: every manager was closed or destroyed.
[[noreturn]] void ExitProcess(int code);

}  // namespace torchdeploy
