// A model as a server calls it.
#pragma once

#include <memory>
#include <string>

#include "interpreter_lib/native/native_object.h"
#include "interpreter_lib/native/program.h"

namespace torchdeploy::native {

// Calls run without gradients, as those of an archive of torchdeploy_pkg. Attributes are
// "configure", which takes the server's settings by name, and, after "method_", the model's
// methods.
//
// Source: docs/manifest.md, "The entry"; python/torchdeploy_pkg/in_archive/entry.py.
class ServedModel : public NativeObject {
 public:
  ServedModel(NativeObjectPtr model, std::shared_ptr<CallSettings> settings);

  [[nodiscard]] std::string Description() const override;
  NativeObjectPtr Attribute(const std::string& name) override;
  c10::IValue Call(td_arguments& arguments, const FindObject& find) override;

 private:
  class Configure;

  const NativeObjectPtr model_;
  const std::shared_ptr<CallSettings> settings_;
};

}  // namespace torchdeploy::native
