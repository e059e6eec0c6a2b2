#include "interpreter_lib/native/script_program.h"

#include <memory>
#include <optional>
#include <string>
#include <utility>

#include <ATen/core/function_schema.h>
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

// The same module with attributes of its own, all but the tensors and the objects of C++: what one
// replica assigns must not meet the calls of another.
torch::jit::Module WithOwnAttributes(const torch::jit::Module& module) {
  const c10::IValue original = module._ivalue();
  c10::IValue::HashIdentityIValueMap copied;
  original.visit([&copied](const c10::IValue& part) {
    if (part.isTensor() || part.isCustomClass()) {
      copied[part] = part;
    }
    return false;  // Go on.
  });
  return torch::jit::Module(original.deepcopy(copied).toObject());
}

// A default value finds out its type when it is first asked for, which replicas must not do at the
// same time.
void SettleTypesOfDefaults(const c10::FunctionSchema& schema) {
  for (const c10::Argument& argument : schema.arguments()) {
    if (argument.default_value()) {
      argument.default_value()->type();
    }
  }
}

class ScriptProgram : public Program {
 public:
  explicit ScriptProgram(torch::jit::Module module) : module_(std::move(module)) {
    for (const torch::jit::Module& part : module_.modules()) {
      for (const torch::jit::Method& method : part.get_methods()) {
        SettleTypesOfDefaults(method.function().getSchema());
      }
    }
  }

  [[nodiscard]] NativeObjectPtr NewModel() const override {
    return std::make_shared<ScriptModule>(WithOwnAttributes(module_));
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
