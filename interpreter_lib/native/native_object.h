// What the host holds of this engine by id.
#pragma once

#include <functional>
#include <memory>
#include <string>
#include <vector>

#include <ATen/core/ivalue.h>

#include "interpreter_lib/abi/interp_abi.h"

namespace torchdeploy::native {

class NativeObject;
using NativeObjectPtr = std::shared_ptr<NativeObject>;

// Finds an object by its id; throws EngineError(TD_FAILED_PRECONDITION) when it is not alive.
using FindObject = std::function<NativeObjectPtr(td_object)>;

// Used by one thread at a time.
class NativeObject {
 public:
  NativeObject() = default;
  NativeObject(const NativeObject&) = delete;
  NativeObject& operator=(const NativeObject&) = delete;
  virtual ~NativeObject() = default;

  // For messages, such as "a TorchScript module".
  [[nodiscard]] virtual std::string Description() const = 0;

  // Null when there is none of that name.
  virtual NativeObjectPtr Attribute(const std::string& name);

  // Takes the tensors out of `arguments`, each of which it sets to null. Throws EngineError for
  // arguments that it does not take, by default for all, and whatever the model throws.
  virtual c10::IValue Call(td_arguments& arguments, const FindObject& find);

  // Itself as a value. Throws EngineError(TD_INVALID_ARGUMENT), as by default, when it is none.
  virtual c10::IValue Value();
};

// Plain data, such as a result that the host keeps inside.
class ValueObject : public NativeObject {
 public:
  explicit ValueObject(c10::IValue value) : value_(std::move(value)) {}

  [[nodiscard]] std::string Description() const override;
  c10::IValue Value() override { return value_; }

 private:
  const c10::IValue value_;
};

}  // namespace torchdeploy::native
