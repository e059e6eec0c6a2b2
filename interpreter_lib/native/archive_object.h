// An opened archive.
#pragma once

#include <memory>
#include <string>

#include "interpreter_lib/native/native_object.h"
#include "interpreter_lib/native/program.h"

namespace torchdeploy::native {

class ArchiveObject : public NativeObject {
 public:
  explicit ArchiveObject(std::shared_ptr<const Program> program);

  [[nodiscard]] std::string Description() const override;

  // "model", "model.pkl": its model, as it is. "torchdeploy", "entry.pkl": the model as a server
  // calls it. Throws EngineError(TD_NOT_FOUND) for others.
  [[nodiscard]] NativeObjectPtr Load(const std::string& package, const std::string& resource) const;

 private:
  const std::shared_ptr<const Program> program_;
};

}  // namespace torchdeploy::native
