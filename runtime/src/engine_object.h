// A reference to an object inside one interpreter.
#pragma once

#include "interpreter_lib/abi/interp_abi.h"
#include "runtime/src/engine.h"

namespace torchdeploy {

// Owns one id and releases it, on whichever thread it goes, without waiting. Engines live as
// long as the process, so this may outlive session, package and manager.
class EngineObject {
 public:
  EngineObject(Engine& engine, td_object id) : engine_(engine), id_(id) {}
  EngineObject(const EngineObject&) = delete;
  EngineObject& operator=(const EngineObject&) = delete;
  ~EngineObject() { engine_.Release(id_); }

  [[nodiscard]] Engine& engine() const { return engine_; }
  [[nodiscard]] td_object id() const { return id_; }

 private:
  Engine& engine_;
  const td_object id_;
};

}  // namespace torchdeploy
