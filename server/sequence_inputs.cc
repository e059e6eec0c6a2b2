#include "server/sequence_inputs.h"

#include <algorithm>
#include <array>
#include <charconv>
#include <cstddef>
#include <cstdint>
#include <initializer_list>
#include <optional>
#include <string>
#include <system_error>
#include <utility>
#include <vector>

#include <dlpack/dlpack.h>

#include "server/arguments.h"
#include "server/datatype.h"
#include "server/name_list.h"
#include "server/sequences.h"
#include "torchdeploy/manifest.h"
#include "torchdeploy/status.h"
#include "torchdeploy/tensor.h"
#include "torchdeploy/value.h"

namespace torchdeploy::server {

namespace {

constexpr DLDataType kInt64{kDLInt, 64, 1};
constexpr DLDataType kBool{kDLBool, 8, 1};

Status Invalid(const std::string& key, const std::string& what) {
  return {Code::kInvalidArgument, "sequences." + key + ": " + what};
}

bool HoldsOneElement(const TensorSpec& spec) {
  return !spec.shape || std::all_of(spec.shape->begin(), spec.shape->end(),
                                    [](int64_t extent) { return extent == 1 || extent == -1; });
}

Status Complete(SequenceInput& input, const std::string& key, const Manifest& manifest,
                std::initializer_list<std::string> datatypes) {
  if (input.name.empty()) {
    return {};
  }
  const auto spec =
      std::find_if(manifest.inputs.begin(), manifest.inputs.end(),
                   [&](const TensorSpec& declared) { return declared.name == input.name; });
  if (spec == manifest.inputs.end()) {
    return Invalid(key, "the model has no input '" + input.name +
                            "'; it takes: " + JoinNames(manifest.inputs, &TensorSpec::name));
  }
  if (std::find(datatypes.begin(), datatypes.end(), spec->datatype) == datatypes.end()) {
    return Invalid(key, "input '" + input.name + "' is " + spec->datatype + "; " +
                            JoinNames(datatypes) + " is expected");
  }
  if (!HoldsOneElement(*spec)) {
    return Invalid(key, "input '" + input.name + "' has more than one element");
  }
  input.datatype = spec->datatype;
  input.rank = spec->shape ? spec->shape->size() : 1;
  return {};
}

template <typename Element>
Result<Value> OneElement(DLDataType type, size_t rank, Element element) {
  Result<Tensor> tensor = Tensor::Allocate(type, std::vector<int64_t>(rank, 1));
  if (!tensor.ok()) {
    return tensor.status();
  }
  *static_cast<Element*>(tensor->data()) = element;
  return Value(*std::move(tensor));
}

Result<Value> IdValue(const SequenceInput& input, const SequenceStep& step) {
  if (input.datatype == kBytes) {
    return Value(List{Value(Bytes{step.id})});
  }
  // An unsigned number may be above INT64's: then it is the negative one of the same bits.
  uint64_t number = 0;
  const char* const end = step.id.data() + step.id.size();
  if (!step.is_number || std::from_chars(step.id.data(), end, number).ec != std::errc()) {
    return Status(Code::kInvalidArgument,
                  "sequence_id is the text '" + step.id + "'; the model takes a number");
  }
  return OneElement(kInt64, input.rank, static_cast<int64_t>(number));
}

Result<Value> FlagValue(const SequenceInput& input, bool flag) {
  return OneElement(kBool, input.rank, static_cast<uint8_t>(flag ? 1 : 0));
}

}  // namespace

Result<SequenceSettings> CheckSequences(SequenceSettings settings,
                                        const std::optional<Manifest>& manifest) {
  if (!manifest) {
    return Invalid("id", "the archive has no manifest that names its inputs");
  }
  if (manifest->yields) {
    return Status(Code::kInvalidArgument, "sequences: the model yields its answers");
  }
  Status status = Complete(settings.inputs.id, "id", *manifest, {"INT64", std::string(kBytes)});
  if (status.ok()) {
    status = Complete(settings.inputs.start, "start", *manifest, {"BOOL"});
  }
  if (status.ok()) {
    status = Complete(settings.inputs.end, "end", *manifest, {"BOOL"});
  }
  return status.ok() ? Result(std::move(settings)) : Result<SequenceSettings>(status);
}

void HideSequenceInputs(const SequenceInputs& inputs, std::optional<Manifest>& manifest) {
  if (!manifest) {
    return;
  }
  std::erase_if(manifest->inputs, [&](const TensorSpec& spec) {
    const std::array names = {&inputs.id.name, &inputs.start.name, &inputs.end.name};
    return std::any_of(names.begin(), names.end(),
                       [&](const std::string* name) { return *name == spec.name; });
  });
}

Status AddSequenceInputs(const SequenceInputs& inputs, const SequenceStep& step,
                         Arguments& arguments) {
  const auto add = [&arguments](const SequenceInput& input, Result<Value> value) -> Status {
    if (!value.ok()) {
      return value.status();
    }
    arguments.keywords.emplace_back(input.name, *std::move(value));
    return {};
  };
  Status status;
  if (!inputs.id.name.empty()) {
    status = add(inputs.id, IdValue(inputs.id, step));
  }
  if (status.ok() && !inputs.start.name.empty()) {
    status = add(inputs.start, FlagValue(inputs.start, step.is_start));
  }
  if (status.ok() && !inputs.end.name.empty()) {
    status = add(inputs.end, FlagValue(inputs.end, step.is_end));
  }
  return status;
}

}  // namespace torchdeploy::server
