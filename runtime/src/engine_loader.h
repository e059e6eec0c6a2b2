// Where the engine of each interpreter comes from.
#pragma once

#include <cstdint>
#include <string>

#include "interpreter_lib/abi/interp_abi.h"
#include "torchdeploy/status.h"

namespace torchdeploy {

// The seam between the pool, which knows interpreters only by the waist, and the ways to
// bring an engine into this process. Thread-safe.
class EngineLoader {
 public:
  EngineLoader() = default;
  EngineLoader(const EngineLoader&) = delete;
  EngineLoader& operator=(const EngineLoader&) = delete;
  virtual ~EngineLoader() = default;

  // The function table of the engine for interpreter `number`, which is unique in this
  // process and counts from 1. Called on that interpreter's own thread; slow. What was
  // loaded stays for the life of the process.
  virtual Result<td_engine_api> Load(uint32_t number) = 0;

  // Path of the Python executable, for td_options.python; empty for an engine without.
  [[nodiscard]] virtual const std::string& python() const = 0;

  // Interpreters of loaders with equal identity can stand in for each other.
  [[nodiscard]] virtual const std::string& identity() const = 0;
};

}  // namespace torchdeploy
