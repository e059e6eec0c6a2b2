// How a process that holds interpreters ends.
#pragma once

namespace torchdeploy {

// Runs what models have left to do at the end: the atexit handlers of every interpreter, on its
// own thread, after the asynchronous calls that it has begun; then flushes Python's streams. Waits
// for all of them together, 10 s at most: what hangs is left behind. Once; later, nothing.
//
// exit() does so by itself, in the order of its handlers, and is safe while calls run. Calls on
// other threads are not waited for: close the managers for that.
void EndInterpreters();

// EndInterpreters(), then flushes the streams of C and ends the process with `code` by _exit():
// unlike exit() it runs no other handler and destroys nothing.
[[noreturn]] void ExitProcess(int code);

}  // namespace torchdeploy
