// The host's GIL, given up for a while.
#pragma once

#include <chrono>
#include <thread>

#include <pybind11/pybind11.h>

namespace torchdeploy {

// Lets other threads of the host's Python run until the end of a scope.
//
// CPython before 3.14 ends a thread that asks for the GIL while Python finalises, by
// unwinding its stack, which C++ turns into std::terminate(). Such a thread sleeps here until
// the process is gone.
class WithoutGil {
 public:
  WithoutGil() : state_(PyEval_SaveThread()) {}
  WithoutGil(const WithoutGil&) = delete;
  WithoutGil& operator=(const WithoutGil&) = delete;
  ~WithoutGil() {
    try {
      PyEval_RestoreThread(state_);
    } catch (...) {
      for (;;) {
        std::this_thread::sleep_for(std::chrono::hours(1));
      }
    }
  }

 private:
  PyThreadState* const state_;
};

}  // namespace torchdeploy
