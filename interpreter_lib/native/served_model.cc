#include "interpreter_lib/native/served_model.h"

#include <cstddef>
#include <memory>
#include <string>
#include <string_view>
#include <utility>

#include <ATen/core/grad_mode.h>
#include <ATen/core/ivalue.h>
#include <c10/core/InferenceMode.h>
#include <torch/csrc/jit/runtime/graph_executor.h>

#include "interpreter_lib/abi/interp_abi.h"
#include "interpreter_lib/common/engine_error.h"
#include "interpreter_lib/native/native_object.h"
#include "interpreter_lib/native/program.h"

namespace torchdeploy::native {
namespace {

constexpr std::string_view kMethodPrefix = "method_";

}  // namespace

class ServedModel::Configure : public NativeObject {
 public:
  explicit Configure(std::shared_ptr<CallSettings> settings) : settings_(std::move(settings)) {}

  [[nodiscard]] std::string Description() const override { return "configure"; }

  c10::IValue Call(td_arguments& arguments, const FindObject& /*find*/) override {
    for (size_t i = 0; i < arguments.keyword_size; ++i) {
      const td_text& name = arguments.keywords[i];
      Set({name.data, name.size_bytes}, arguments.keyword_values[i]);
    }
    return {};
  }

 private:
  void Set(std::string_view name, const td_value& value) const {
    if (name == "inference_mode" && value.kind == TD_KIND_BOOL) {
      settings_->inference_mode = value.as.boolean != 0;
    } else if (name == "optimized_execution" && value.kind == TD_KIND_BOOL) {
      settings_->optimized_execution = value.as.boolean != 0;
    } else if (value.kind != TD_KIND_NONE) {
      throw EngineError(TD_INVALID_ARGUMENT,
                        std::string(name) + " is for archives of Python code only");
    }
  }

  const std::shared_ptr<CallSettings> settings_;
};

ServedModel::ServedModel(NativeObjectPtr model, std::shared_ptr<CallSettings> settings)
    : model_(std::move(model)), settings_(std::move(settings)) {}

std::string ServedModel::Description() const {
  return model_->Description();
}

NativeObjectPtr ServedModel::Attribute(const std::string& name) {
  if (name == "configure") {
    return std::make_shared<Configure>(settings_);
  }
  if (!name.starts_with(kMethodPrefix)) {
    return nullptr;
  }
  NativeObjectPtr method = model_->Attribute(name.substr(kMethodPrefix.size()));
  return method == nullptr ? nullptr : std::make_shared<ServedModel>(std::move(method), settings_);
}

c10::IValue ServedModel::Call(td_arguments& arguments, const FindObject& find) {
  const torch::jit::GraphOptimizerEnabledGuard optimizer(settings_->optimized_execution);
  if (settings_->inference_mode) {
    const c10::InferenceMode mode;
    return model_->Call(arguments, find);
  }
  const c10::NoGradGuard no_grad;
  return model_->Call(arguments, find);
}

}  // namespace torchdeploy::native
