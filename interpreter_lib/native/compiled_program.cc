#include "interpreter_lib/native/compiled_program.h"

#include <stdlib.h>

#include <algorithm>
#include <charconv>
#include <cstddef>
#include <exception>
#include <iterator>
#include <memory>
#include <span>
#include <string>
#include <string_view>
#include <system_error>
#include <utility>
#include <vector>

#include <ATen/core/Tensor.h>
#include <ATen/core/ivalue.h>
#include <caffe2/serialize/inline_container.h>

#include "interpreter_lib/abi/interp_abi.h"
#include "interpreter_lib/common/engine_error.h"
#include "interpreter_lib/native/call_spec.h"
#include "interpreter_lib/native/compiled_code.h"
#include "interpreter_lib/native/instruction_set.h"
#include "interpreter_lib/native/native_object.h"
#include "interpreter_lib/native/program.h"
#include "interpreter_lib/native/temporary_folder.h"
#include "interpreter_lib/native/tree_spec.h"

#include <nlohmann/json.hpp>
#include <nlohmann/json_fwd.hpp>

namespace torchdeploy::native {
namespace {

using caffe2::serialize::PyTorchStreamReader;

constexpr std::string_view kModelFolder = "data/aotinductor/model/";
// Calls that run at once; more wait. Each has a table of the weights, not the weights.
constexpr size_t kMostCalls = 64;

[[noreturn]] void Refuse(const std::string& reason) {
  throw EngineError(TD_FAILED_PRECONDITION, reason);
}

// Without it compiled code reads beyond the end of a tensor that is smaller than the one it was
// compiled for. Asked for by the code at its first call, in the environment of this engine's
// libraries, which is their own.
void LetCompiledCodeCheckItsInputs() {
  // NOLINTNEXTLINE(concurrency-mt-unsafe): the shim's may be called at any time.
  setenv("AOTI_RUNTIME_CHECK_INPUTS", "1", 1);
}

std::string TextOf(PyTorchStreamReader& archive, const std::string& record) {
  const auto [bytes, size] = archive.getRecord(record);
  return {static_cast<const char*>(bytes.get()), size};
}

std::vector<std::string> RecordsOfModel(PyTorchStreamReader& archive) {
  std::vector<std::string> records = archive.getAllRecords();
  std::erase_if(records, [](const std::string& name) { return !name.starts_with(kModelFolder); });
  return records;
}

// The one that ends so; throws when there is none, or another.
std::string OneOf(const std::vector<std::string>& names, std::string_view ending) {
  const auto is_meant = [&](const std::string& name) { return name.ends_with(ending); };
  const auto found = std::ranges::find_if(names, is_meant);
  if (found == names.end() || std::any_of(std::next(found), names.end(), is_meant)) {
    Refuse("it should have one file '" + std::string(kModelFolder) + "*" + std::string(ending) +
           "', compiled code");
  }
  return *found;
}

void CheckMetadata(const std::string& text) {
  const nlohmann::json metadata = nlohmann::json::parse(text, nullptr, false);
  if (!metadata.is_object()) {
    return;  // Torch has its own words for that.
  }
  const std::string device = metadata.value("AOTI_DEVICE_KEY", "cpu");
  if (device != "cpu") {
    Refuse("it was compiled for '" + device + "'; compile it for the CPU, where it would run");
  }
  const std::string missing = MissingInstructions(metadata.value("AOTI_CPU_ISA", ""));
  if (!missing.empty()) {
    Refuse("it was compiled for a processor with " + missing +
           ", which this one lacks; compile it here");
  }
}

// Writes the files of the model, which find each other there, and gives the path of its library.
std::string Unpack(PyTorchStreamReader& archive, const TemporaryFolder& folder) {
  const std::vector<std::string> records = RecordsOfModel(archive);
  const std::string library = OneOf(records, ".so");
  for (const std::string& name : records) {
    if (name.ends_with(".blob") || name.ends_with("weights_config.json")) {
      Refuse("its weights are apart from its code; compile it with the weights in the code");
    }
    if (name.ends_with("_metadata.json")) {
      CheckMetadata(TextOf(archive, name));
    }
    const auto [bytes, size] = archive.getRecord(name);
    folder.Write(name, std::span(static_cast<const char*>(bytes.get()), size));
  }
  return folder.path() / library;
}

// What the code says of an input that it was not compiled for, or else the model's own error.
EngineError Explain(std::string_view message, const std::vector<FlatTensor>& inputs) {
  constexpr std::string_view kOfInput = "input_handles[";
  message = message.substr(0, message.find("\nException raised from "));
  if (const size_t at = message.find(kOfInput); at != std::string_view::npos) {
    const std::string_view said = message.substr(at + kOfInput.size());
    size_t index = 0;
    const auto [end, error] = std::from_chars(said.data(), said.data() + said.size(), index);
    if (error == std::errc() && index < inputs.size()) {
      const std::string_view reason = said.substr(said.find(']') + 1);
      return {TD_INVALID_ARGUMENT,
              *inputs[index].place + std::string(reason.substr(0, reason.find('\n')))};
    }
  }
  // Of extents that are free, but not each by itself.
  if (const size_t end = message.find("\nError in op: input"); end != std::string_view::npos) {
    const size_t at = std::min(message.find("expected size "), end);
    return {TD_INVALID_ARGUMENT,
            "extents that must be equal are not: " + std::string(message.substr(at, end - at))};
  }
  return {TD_UNKNOWN, std::string(message), "RuntimeError", ""};
}

// A result for the host: what the code keeps, its weights, must not leave it, for they go with it.
void Own(at::Tensor& output) {
  if (output.defined() && output.storage().use_count() > 1) {
    output = output.clone();
  }
}

class Compiled {
 public:
  explicit Compiled(const std::string& library)
      : code_(library, kMostCalls), spec_(code_.get_call_spec()) {
    if (spec_.inputs() != code_.inputs()) {
      Refuse("it was exported with " + std::to_string(spec_.inputs()) + " values, and takes " +
             std::to_string(code_.inputs()) +
             " tensors: leave out what is no tensor when you export it");
    }
  }

  c10::IValue Call(td_arguments& arguments, const FindObject& find) {
    std::vector<FlatTensor> flat = spec_.Flatten(arguments, find);
    std::vector<at::Tensor> inputs;
    inputs.reserve(flat.size());
    std::ranges::transform(flat, std::back_inserter(inputs),
                           [](FlatTensor& each) { return std::move(each.tensor); });
    std::vector<at::Tensor> outputs;
    try {
      outputs = code_.boxed_run(std::move(inputs));
    } catch (const std::exception& error) {
      throw Explain(error.what(), flat);
    }
    std::ranges::for_each(outputs, Own);
    return spec_.Unflatten(outputs);
  }

 private:
  CompiledCode code_;
  const CallSpec spec_;
};

class CompiledModel : public NativeObject {
 public:
  explicit CompiledModel(std::shared_ptr<Compiled> compiled) : compiled_(std::move(compiled)) {}

  [[nodiscard]] std::string Description() const override { return "a compiled model"; }

  c10::IValue Call(td_arguments& arguments, const FindObject& find) override {
    return compiled_->Call(arguments, find);
  }

 private:
  const std::shared_ptr<Compiled> compiled_;
};

class CompiledProgram : public Program {
 public:
  explicit CompiledProgram(const std::string& library)
      : compiled_(std::make_shared<Compiled>(library)) {}

  [[nodiscard]] NativeObjectPtr NewModel() const override {
    return std::make_shared<CompiledModel>(compiled_);
  }

 private:
  const std::shared_ptr<Compiled> compiled_;
};

}  // namespace

std::unique_ptr<Program> LoadCompiledProgram(PyTorchStreamReader& archive) {
  LetCompiledCodeCheckItsInputs();
  const TemporaryFolder folder;
  return std::make_unique<CompiledProgram>(Unpack(archive, folder));
}

}  // namespace torchdeploy::native
