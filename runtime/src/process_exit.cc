// The end of a process that holds interpreters.
#include "torchdeploy/process_exit.h"

#include <unistd.h>

#include <cstdio>

#include "runtime/src/interpreter_stock.h"

namespace torchdeploy {

void EndInterpreters() {
  InterpreterStock::OfProcess().StopAll();
}

void ExitProcess(int code) {
  EndInterpreters();
  std::fflush(nullptr);
  _exit(code);
}

}  // namespace torchdeploy
