// The end of a process that holds interpreters.
#include "torchdeploy/process_exit.h"

#include <unistd.h>

#include <cstdio>

#include "runtime/src/interpreter_stock.h"

namespace torchdeploy {

void ExitProcess(int code) {
  InterpreterStock::OfProcess().StopAll();
  std::fflush(nullptr);
  _exit(code);
}

}  // namespace torchdeploy
