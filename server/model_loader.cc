#include "server/model_loader.h"

#include <cstddef>
#include <cstdint>
#include <filesystem>
#include <map>
#include <memory>
#include <optional>
#include <string>
#include <utility>
#include <vector>

#include "server/interpreter_pools.h"
#include "server/model_registry.h"
#include "server/model_repository.h"
#include "server/model_settings.h"
#include "server/model_stream.h"
#include "server/padding.h"
#include "server/padding_settings.h"
#include "server/request_queue.h"
#include "server/sequence_inputs.h"
#include "server/timer.h"
#include "server/trace_input.h"
#include "torchdeploy/archive_format.h"
#include "torchdeploy/interpreter_manager.h"
#include "torchdeploy/interpreter_session.h"
#include "torchdeploy/manifest.h"
#include "torchdeploy/obj.h"
#include "torchdeploy/package.h"
#include "torchdeploy/replicated_obj.h"
#include "torchdeploy/status.h"
#include "torchdeploy/value.h"

namespace torchdeploy::server {

namespace {

Status Prefixed(const std::string& prefix, const Status& status) {
  return {status.code(), prefix + ": " + status.message(), status.type(), status.traceback()};
}

Status CheckBatching(const BatchSettings& batching, const std::optional<Manifest>& manifest) {
  if (batching.most_rows == 1 || (manifest && manifest->batch_dimension == 0)) {
    return {};
  }
  return {Code::kInvalidArgument, "batching.max_size is " + std::to_string(batching.most_rows) +
                                      ", but the archive's manifest does not have "
                                      "batch_dimension 0"};
}

// Keyword arguments that the model has taken before. Of what is no dict by name, a call that fails.
Result<Kwargs> ExampleIn(size_t slot, const ReplicatedObj& example) {
  const Result<InterpreterSession> session = example.AcquireSession(slot);
  if (!session.ok()) {
    return session.status();
  }
  const Result<Value> value = session->self().ToValue();
  if (!value.ok()) {
    return value.status();
  }
  const Dict* inputs = value->get<Dict>();
  Kwargs example_inputs;
  for (const auto& [key, input] : inputs != nullptr ? *inputs : Dict()) {
    const auto* name = key.get<std::string>();
    example_inputs.emplace_back(name != nullptr ? *name : "", input);
  }
  return example_inputs;
}

Status CallMethod(const Obj& entry, const char* name, const Kwargs& inputs) {
  constexpr int64_t kStreamOfNobody = 0;
  const Result<Obj> method = entry.Attribute(name);
  return method.ok() ? method->Call({kStreamOfNobody}, inputs).status() : method.status();
}

Status BeginAndEnd(const Obj& entry, const Kwargs& inputs) {
  const Status begun = CallMethod(entry, ModelStream::kBegin, inputs);
  return begun.ok() ? CallMethod(entry, ModelStream::kEnd, {}) : begun;
}

Status WarmUpIn(size_t slot, const ReplicatedObj& entry, const Kwargs& inputs, int64_t calls,
                bool yields) {
  const Result<InterpreterSession> session = entry.AcquireSession(slot);
  if (!session.ok()) {
    return session.status();
  }
  Status status;
  for (int64_t i = 0; status.ok() && i < calls; ++i) {
    status =
        yields ? BeginAndEnd(session->self(), inputs) : session->self().Call({}, inputs).status();
  }
  return status.ok() ? status
                     : Prefixed("the call that warms it up, with the archive's example", status);
}

Status WarmUp(const Package& package, const ReplicatedObj& entry, int64_t calls) {
  const std::optional<Manifest>& manifest = package.manifest();
  if (calls == 0 || !manifest || !manifest->example) {
    return {};
  }
  const ReplicatedObj example =
      package.LoadPickle(manifest->example->package, manifest->example->resource);
  for (size_t slot = 0; slot < entry.num_interpreters(); ++slot) {
    const Result<Kwargs> inputs = ExampleIn(slot, example);
    if (!inputs.ok()) {
      return inputs.status();
    }
    if (Status status = WarmUpIn(slot, entry, *inputs, calls, manifest->yields); !status.ok()) {
      return status;
    }
  }
  return {};
}

// What the settings ask of the replica in that slot, by name.
Kwargs WishesFor(size_t slot, const ModelSettings& settings) {
  Kwargs wishes;
  if (const std::vector<std::string>& devices = settings.devices; !devices.empty()) {
    wishes.emplace_back("device", devices[slot % devices.size()]);
  }
  if (settings.inference_mode) {
    wishes.emplace_back("inference_mode", true);
  }
  if (settings.torch_compile) {
    wishes.emplace_back("torch_compile", *settings.torch_compile);
  }
  if (!settings.optimized_execution) {
    wishes.emplace_back("optimized_execution", false);
  }
  return wishes;
}

// Asks the replicas for what the settings say of their calls.
Status Configure(const Package& package, const ReplicatedObj& entry,
                 const ModelSettings& settings) {
  if (WishesFor(0, settings).empty()) {
    return {};
  }
  if (!settings.optimized_execution && package.format() != ArchiveFormat::kTorchScript) {
    return {Code::kInvalidArgument, "optimized_execution is for archives of TorchScript"};
  }
  for (size_t slot = 0; slot < entry.num_interpreters(); ++slot) {
    const Result<InterpreterSession> session = entry.AcquireSession(slot);
    if (!session.ok()) {
      return session.status();
    }
    const Result<Obj> method = session->self().Attribute("configure");
    if (!method.ok()) {
      return {Code::kFailedPrecondition,
              "device, inference_mode and torch_compile are for archives of torchdeploy_pkg from "
              "0.1.0 on"};
    }
    if (const Status status = method->Call({}, WishesFor(slot, settings)).status(); !status.ok()) {
      return status;
    }
  }
  return {};
}

std::map<std::string, std::optional<Manifest>> ManifestsOfMethods(
    const std::optional<Manifest>& manifest) {
  std::map<std::string, std::optional<Manifest>> methods;
  if (!manifest) {
    return methods;
  }
  for (const auto& [name, spec] : manifest->methods) {
    Manifest method = *manifest;
    method.inputs = spec.inputs;
    method.outputs = spec.outputs;
    method.methods.clear();
    method.yields = false;
    methods.emplace(name, std::move(method));
  }
  return methods;
}

// A replica in every interpreter, which has been called.
Status Prepare(const Package& package, const ReplicatedObj& entry, const ModelSettings& settings) {
  Status status = entry.LoadEverywhere();
  if (status.ok()) {
    status = Configure(package, entry, settings);
  }
  return status.ok() ? WarmUp(package, entry, settings.warmup_calls) : status;
}

// What of the settings the model can have. Takes the inputs that the server fills out of those that
// clients are to send.
Result<QueueSettings> CheckQueue(const ModelSettings& settings, std::optional<Manifest>& manifest) {
  QueueSettings queue = settings.queue;
  if (Status status = CheckBatching(queue.batching, manifest); !status.ok()) {
    return status;
  }
  Result<Padding> padding = CheckPadding(settings.padding, manifest);
  if (!padding.ok()) {
    return padding.status();
  }
  queue.batching.padding = *std::move(padding);
  HideLengths(queue.batching.padding, manifest);
  if (queue.sequences) {
    Result<SequenceSettings> sequences = CheckSequences(*queue.sequences, manifest);
    if (!sequences.ok()) {
      return sequences.status();
    }
    queue.sequences = *std::move(sequences);
    HideSequenceInputs(queue.sequences->inputs, manifest);
  }
  return queue;
}

}  // namespace

ModelLoader::ModelLoader(InterpreterPools& pools, std::shared_ptr<Timer> timer)
    : pools_(pools), timer_(std::move(timer)) {}

Result<std::shared_ptr<const Model>> ModelLoader::Load(const std::string& name,
                                                       const ArchiveLocation& archive,
                                                       const ModelSettings& settings) const {
  Result<Model> model = LoadUnprefixed(name, archive, settings);
  if (!model.ok()) {
    return Prefixed(archive.path, model.status());
  }
  return std::make_shared<const Model>(*std::move(model));
}

Result<Model> ModelLoader::LoadUnprefixed(const std::string& name, const ArchiveLocation& archive,
                                          const ModelSettings& settings) const {
  Result<std::shared_ptr<const InterpreterManager>> reserved = Reserve(settings);
  if (!reserved.ok()) {
    return reserved.status();
  }
  const InterpreterManager& manager = *reserved != nullptr ? **reserved : pools_.shared();
  const Result<Package> package = manager.LoadPackage(archive.path);
  if (!package.ok()) {
    return package.status();
  }
  std::optional<Manifest> manifest = package->manifest();
  Result<QueueSettings> queue = CheckQueue(settings, manifest);
  if (!queue.ok()) {
    return queue.status();
  }
  Result<TraceInput> trace_input = CheckTraceInput(settings.traceparent, manifest);
  if (!trace_input.ok()) {
    return trace_input.status();
  }
  HideTraceInput(*trace_input, manifest);
  ReplicatedObj entry = package->LoadEntry();
  if (Status status = Prepare(*package, entry, settings); !status.ok()) {
    return status;
  }
  const std::string stem = std::filesystem::path(archive.path).stem().string();
  const std::string own_name = manifest ? manifest->name : stem;
  const std::string own_version = manifest ? manifest->version : "1";
  std::map<std::string, std::optional<Manifest>> methods = ManifestsOfMethods(manifest);
  return Model{
      .name = name.empty() ? own_name : name,
      .version = archive.version.empty() ? own_version : archive.version,
      .manifest = std::move(manifest),
      .methods = std::move(methods),
      .trace_input = *std::move(trace_input),
      .reserved = *std::move(reserved),
      .queue = std::make_shared<RequestQueue>(std::move(entry), *std::move(queue), timer_)};
}

Result<std::shared_ptr<const InterpreterManager>> ModelLoader::Reserve(
    const ModelSettings& settings) const {
  if (settings.interpreters == 0) {
    return std::shared_ptr<const InterpreterManager>();
  }
  return pools_.Reserve(static_cast<int>(settings.interpreters),
                        static_cast<int>(settings.intra_op_threads));
}

}  // namespace torchdeploy::server
