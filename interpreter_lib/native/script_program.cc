#include "interpreter_lib/native/script_program.h"

#include <memory>
#include <optional>
#include <string>
#include <utility>

#include <ATen/core/ivalue.h>
#include <caffe2/serialize/read_adapter_interface.h>
#include <torch/csrc/jit/api/module.h>
#include <torch/csrc/jit/serialization/import.h>

#include "interpreter_lib/abi/interp_abi.h"
#include "interpreter_lib/common/engine_error.h"
#include "interpreter_lib/native/call_arguments.h"
#include "interpreter_lib/native/native_object.h"
#include "interpreter_lib/native/program.h"

namespace torchdeploy::native {
namespace {

class ScriptMethod : public NativeObject {
 public:
  explicit ScriptMethod(torch::jit::Method method) : method_(std::move(method)) {}

  [[nodiscard]] std::string Description() const override {
    return "the method " + method_.name() + " of a TorchScript module";
  }

  c10::IValue Call(td_arguments& arguments, const FindObject& find) override {
    return method_(MatchArguments(method_.function().getSchema(), arguments, find));
  }

 private:
  const torch::jit::Method method_;
};

class ScriptModule : public NativeObject {
 public:
  explicit ScriptModule(torch::jit::Module module)
      : module_(std::move(module)), forward_(module_.find_method("forward")) {}

  [[nodiscard]] std::string Description() const override {
    return "a TorchScript module of type " + module_.type()->str();
  }

  NativeObjectPtr Attribute(const std::string& name) override {
    if (std::optional<torch::jit::Method> method = module_.find_method(name); method.has_value()) {
      return std::make_shared<ScriptMethod>(*std::move(method));
    }
    if (!module_.hasattr(name)) {
      return nullptr;
    }
    const c10::IValue value = module_.attr(name);
    if (value.isModule()) {
      return std::make_shared<ScriptModule>(value.toModule());
    }
    return std::make_shared<ValueObject>(value);
  }

  c10::IValue Call(td_arguments& arguments, const FindObject& find) override {
    if (!forward_.has_value()) {
      throw EngineError(TD_INVALID_ARGUMENT,
                        Description() + " has no forward and cannot be called; its methods can");
    }
    return (*forward_)(MatchArguments(forward_->function().getSchema(), arguments, find));
  }

 private:
  const torch::jit::Module module_;
  const std::optional<torch::jit::Method> forward_;
};

class ScriptProgram : public Program {
 public:
  explicit ScriptProgram(torch::jit::Module module) : module_(std::move(module)) {}

  [[nodiscard]] NativeObjectPtr NewModel() const override {
    return std::make_shared<ScriptModule>(module_);
  }

 private:
  const torch::jit::Module module_;
};

}  // namespace

std::unique_ptr<Program> LoadScriptProgram(
    std::shared_ptr<caffe2::serialize::ReadAdapterInterface> archive) {
  return std::make_unique<ScriptProgram>(torch::jit::load(std::move(archive), c10::kCPU));
}

}  // namespace torchdeploy::native
