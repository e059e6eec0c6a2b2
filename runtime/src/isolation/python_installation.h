// The Python whose packages the interpreters use.
#pragma once

#include <string>

#include "torchdeploy/status.h"

namespace torchdeploy {

// All paths are absolute.
struct PythonInstallation {
  std::string executable;     // Of the virtual environment, if it is one.
  std::string version;        // "3.11.7"
  std::string libpython;      // The shared library.
  std::string torch_folder;   // Where torch/__init__.py stands.
  std::string torch_version;  // "2.13.0+cpu"
  std::string engine;         // torchdeploy_pkg/lib/libtorchdeploy_engine.so
  std::string shim;           // torchdeploy_pkg/lib/libtorchdeploy_shim.so
  std::string native_engine;  // torchdeploy_pkg/lib/libtorchdeploy_native.so
};

// Runs `configured` (Options.python), else $VIRTUAL_ENV/bin/python, else python3, and asks it
// what it has. Errors as documented at InterpreterManager::Create().
Result<PythonInstallation> FindPython(const std::string& configured);

}  // namespace torchdeploy
