// The settings of one interpreter, as it started.
#pragma once

#include <memory>

#include "interpreter_lib/src/py_ref.h"

namespace torchdeploy {

// Default dtype and device, deterministic algorithms, float32 precision and warning filters, of
// torch and of Python. Every call finds them so, for every call leaves them so; to read them once
// is what makes that cheap.
class SettingsAtRest {
 public:
  // Reads them, with torch imported. The functions are torchdeploy_engine.settings.restore_...
  SettingsAtRest(PyRef restore_warning_filters, PyRef restore_deterministic);
  SettingsAtRest(const SettingsAtRest&) = delete;
  SettingsAtRest& operator=(const SettingsAtRest&) = delete;
  ~SettingsAtRest();

  // Puts back what differs. Inside the interpreter, with no Python error set; sets none.
  void Restore() const;

 private:
  struct Held;

  const std::unique_ptr<const Held> held_;
};

}  // namespace torchdeploy
