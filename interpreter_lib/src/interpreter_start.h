// Starting the Python interpreter of this library, and the Python code that the engine uses.
#pragma once

#include <memory>

#include "interpreter_lib/abi/interp_abi.h"
#include "interpreter_lib/src/py_ref.h"
#include "interpreter_lib/src/settings_at_rest.h"

namespace torchdeploy {

// What the engine uses of the embedded Python code.
struct EngineFunctions {
  PyRef describe;  // Set first: what fails afterwards can be described.
  PyRef open_package;
  PyRef free_closed;  // For the object table: to be called once an importer is released.
  PyRef load_pickle;
  PyRef numpy_as_plain;
  PyRef register_module;
  PyRef pickle;
  PyRef unpickle;
  PyRef interruption;  // The class of what Interruption raises.
  PyRef reset;
  PyRef stop;
  std::unique_ptr<const SettingsAtRest> settings;
};

// Initialises Python as `options` say; the calling thread is then inside the interpreter.
// Throws EngineError: TD_FAILED_PRECONDITION when this library has an interpreter already or
// the Python installation does not work.
void InitializePython(const td_options& options);

// Imports torch and the embedded code, prepares the interpreter for calls and fills
// `functions`. Inside the interpreter. Throws PythonError.
void LoadEngineFunctions(const td_options& options, EngineFunctions* functions);

}  // namespace torchdeploy
