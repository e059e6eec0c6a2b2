#include "interpreter_lib/native/archive_object.h"

#include <memory>
#include <string>
#include <utility>

#include "interpreter_lib/abi/interp_abi.h"
#include "interpreter_lib/common/engine_error.h"
#include "interpreter_lib/native/native_object.h"
#include "interpreter_lib/native/program.h"
#include "interpreter_lib/native/served_model.h"

namespace torchdeploy::native {

ArchiveObject::ArchiveObject(std::shared_ptr<const Program> program)
    : program_(std::move(program)) {}

std::string ArchiveObject::Description() const {
  return "an archive";
}

NativeObjectPtr ArchiveObject::Load(const std::string& package, const std::string& resource) const {
  if (package == "model" && resource == "model.pkl") {
    return program_->NewModel();
  }
  if (package == "torchdeploy" && resource == "entry.pkl") {
    return std::make_shared<ServedModel>(program_->NewModel(), program_->settings());
  }
  throw EngineError(TD_NOT_FOUND, "the archive has no pickle '" + package + "/" + resource +
                                      "'; one without Python has 'model/model.pkl' only");
}

}  // namespace torchdeploy::native
