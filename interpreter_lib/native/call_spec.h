// What compiled code takes and gives.
#pragma once

#include <cstddef>
#include <string>
#include <vector>

#include <ATen/core/Tensor.h>
#include <ATen/core/ivalue.h>

#include "interpreter_lib/abi/interp_abi.h"
#include "interpreter_lib/native/native_object.h"
#include "interpreter_lib/native/tree_spec.h"

namespace torchdeploy::native {

// Immutable.
class CallSpec {
 public:
  // `serialized`: what AOTIModelPackageLoader::get_call_spec() gives. Throws
  // EngineError(TD_FAILED_PRECONDITION) when it is written in an unknown way.
  explicit CallSpec(const std::vector<std::string>& serialized);

  // The tensors of the arguments, in the order of the compiled code. By position there are first
  // those that were exported by position, then the others in their order. Each tensor that is
  // taken is set to null. Throws EngineError(TD_INVALID_ARGUMENT), naming the argument and what
  // is taken.
  std::vector<FlatTensor> Flatten(td_arguments& arguments, const FindObject& find) const;

  // How many values it was exported with.
  [[nodiscard]] size_t inputs() const;

  // Throws EngineError(TD_INTERNAL) when there are more tensors, or fewer, than were compiled.
  [[nodiscard]] c10::IValue Unflatten(const std::vector<at::Tensor>& outputs) const;

 private:
  struct Parameter {
    std::string name;  // "" of one that was exported by position.
    TreeSpec spec;
  };

  static std::vector<Parameter> ParametersOf(const std::string& serialized);

  // Of the argument by that name; throws when there is none.
  [[nodiscard]] size_t IndexOf(const std::string& name) const;
  // For messages.
  [[nodiscard]] std::string Parameters() const;

  std::vector<Parameter> parameters_;
  TreeSpec output_;
};

}  // namespace torchdeploy::native
