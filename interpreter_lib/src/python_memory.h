// How much memory Python itself holds.
#pragma once

#include <cstdint>

namespace torchdeploy {

// From now on what Python's allocators take from the system is counted: arenas of small objects,
// and each larger block. What extensions take by themselves is not, and so no tensor.
// REQUIRES: Python is not initialised.
void CountPythonMemory();

// Held now. On any thread, with or without the interpreter's lock.
uint64_t PythonBytes();

}  // namespace torchdeploy
