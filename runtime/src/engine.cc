#include "runtime/src/engine.h"

#include <cstddef>
#include <cstdint>
#include <memory>
#include <mutex>
#include <string>
#include <utility>
#include <vector>

#include "interpreter_lib/abi/interp_abi.h"
#include "runtime/src/value_crossing.h"
#include "torchdeploy/status.h"
#include "torchdeploy/tensor.h"
#include "torchdeploy/value.h"

namespace torchdeploy {

namespace {

std::string TextOrEmpty(const char* text) {
  return text == nullptr ? std::string() : text;
}

// Frees `error`.
Status TakeError(const td_engine_api& api, td_code code, td_error& error) {
  const bool known = code > TD_OK && code <= TD_DATA_LOSS;
  Status status(known ? static_cast<Code>(code) : Code::kInternal, TextOrEmpty(error.message),
                TextOrEmpty(error.type), TextOrEmpty(error.traceback));
  api.free_error(&error);
  return status;
}

td_text TextView(const std::string& text) {
  return {text.data(), text.size()};
}

// The arguments of one call; refers to what it was made of.
class CallArguments {
 public:
  Status LayOut(const std::vector<Value>& args, const Kwargs& kwargs) {
    arguments_.positional = values_.NewBlock(args.size());
    arguments_.positional_size = args.size();
    for (size_t i = 0; i < args.size(); ++i) {
      Status status = values_.LayOut(args[i], arguments_.positional[i]);
      if (!status.ok()) {
        return status;
      }
    }
    return kwargs.empty() ? Status() : LayOutKeywords(kwargs);
  }

  void LayOutObjects(const std::vector<td_object>& args) {
    arguments_.positional = values_.NewBlock(args.size());
    arguments_.positional_size = args.size();
    for (size_t i = 0; i < args.size(); ++i) {
      arguments_.positional[i].kind = TD_KIND_OBJECT;
      arguments_.positional[i].as.object = args[i];
    }
  }

  td_arguments* get() { return &arguments_; }

 private:
  Status LayOutKeywords(const Kwargs& kwargs) {
    arguments_.keyword_values = values_.NewBlock(kwargs.size());
    arguments_.keyword_size = kwargs.size();
    for (size_t i = 0; i < kwargs.size(); ++i) {
      keywords_.push_back(TextView(kwargs[i].first));
      Status status = values_.LayOut(kwargs[i].second, arguments_.keyword_values[i]);
      if (!status.ok()) {
        return status;
      }
    }
    arguments_.keywords = keywords_.data();
    return {};
  }

  LaidOutValues values_;
  std::vector<td_text> keywords_;
  td_arguments arguments_{};
};

}  // namespace

Result<std::unique_ptr<Engine>> Engine::Create(const td_engine_api& api,
                                               const td_options& options) {
  td_engine* engine = nullptr;
  td_error error{};
  const td_code code = api.create(&options, &engine, &error);
  if (code != TD_OK) {
    return TakeError(api, code, error);
  }
  return std::unique_ptr<Engine>(new Engine(api, engine));
}

void Engine::Stop() {
  {
    const std::lock_guard lock(stop_mutex_);
    stopped_ = true;
  }
  api_.stop(engine_);
}

td_engine* Engine::Enter() {
  // Counted before the interpreter is entered, so that a release queued later than this
  // count is seen as not yet done.
  entries_.fetch_add(1);
  return engine_;
}

template <typename Operation>
Result<td_object> Engine::ObjectOf(const Value& value, Operation operation) {
  LaidOutValues values;
  td_value* const place = values.NewBlock(1);
  Status status = values.LayOut(value, *place);
  if (!status.ok()) {
    return status;
  }
  td_object object = 0;
  td_error error{};
  const td_code code = operation(place, &object, &error);
  if (code != TD_OK) {
    return TakeError(api_, code, error);
  }
  return object;
}

Result<td_object> Engine::OpenPackage(const std::string& name, Tensor archive) {
  return ObjectOf(std::move(archive), [&](td_value* place, td_object* object, td_error* error) {
    return api_.open_package(Enter(), name.c_str(), place, object, error);
  });
}

Result<td_object> Engine::LoadPickle(td_object importer, const std::string& package,
                                     const std::string& resource, Tensor archive) {
  const td_pickle pickle{package.c_str(), resource.c_str()};
  return ObjectOf(std::move(archive), [&](td_value* place, td_object* object, td_error* error) {
    return api_.load_pickle(Enter(), importer, &pickle, place, object, error);
  });
}

Result<td_object> Engine::Global(const std::string& module, const std::string& name) {
  td_object object = 0;
  td_error error{};
  const td_code code = api_.global(Enter(), module.c_str(), name.c_str(), &object, &error);
  if (code != TD_OK) {
    return TakeError(api_, code, error);
  }
  return object;
}

Result<td_object> Engine::Attribute(td_object object, const std::string& name) {
  td_object attribute = 0;
  td_error error{};
  const td_code code = api_.attribute(Enter(), object, name.c_str(), &attribute, &error);
  if (code != TD_OK) {
    return TakeError(api_, code, error);
  }
  return attribute;
}

Result<bool> Engine::HasAttribute(td_object object, const std::string& name) {
  int32_t has = 0;
  td_error error{};
  const td_code code = api_.has_attribute(Enter(), object, name.c_str(), &has, &error);
  if (code != TD_OK) {
    return TakeError(api_, code, error);
  }
  return has != 0;
}

Result<Value> Engine::Take(td_value& value, AliasedTensors aliased) {
  Result<Value> taken = TakeValue(value, aliased);
  api_.free_value(engine_, &value);
  return taken;
}

Result<Value> Engine::Call(td_object callable, const std::vector<Value>& args, const Kwargs& kwargs,
                           AliasedTensors aliased) {
  CallArguments arguments;
  Status status = arguments.LayOut(args, kwargs);
  if (!status.ok()) {
    return status;
  }
  td_value value{};
  td_error error{};
  const td_code code = api_.call(Enter(), callable, arguments.get(), TD_WANT_VALUE, &value, &error);
  if (code != TD_OK) {
    return TakeError(api_, code, error);
  }
  return Take(value, aliased);
}

Result<td_object> Engine::CallForObject(td_object callable, const std::vector<Value>& args,
                                        const Kwargs& kwargs) {
  CallArguments arguments;
  Status status = arguments.LayOut(args, kwargs);
  if (!status.ok()) {
    return status;
  }
  td_value value{};
  td_error error{};
  const td_code code =
      api_.call(Enter(), callable, arguments.get(), TD_WANT_OBJECT, &value, &error);
  if (code != TD_OK) {
    return TakeError(api_, code, error);
  }
  return value.as.object;
}

Result<td_object> Engine::CallObjects(td_object callable, const std::vector<td_object>& args) {
  CallArguments arguments;
  arguments.LayOutObjects(args);
  td_value value{};
  td_error error{};
  const td_code code =
      api_.call(Enter(), callable, arguments.get(), TD_WANT_OBJECT, &value, &error);
  if (code != TD_OK) {
    return TakeError(api_, code, error);
  }
  return value.as.object;
}

Result<Value> Engine::ToValue(td_object object) {
  td_value value{};
  td_error error{};
  const td_code code = api_.to_value(Enter(), object, &value, &error);
  if (code != TD_OK) {
    return TakeError(api_, code, error);
  }
  return Take(value, AliasedTensors::kShare);
}

Result<td_object> Engine::FromValue(const Value& value) {
  return ObjectOf(value, [&](td_value* place, td_object* object, td_error* error) {
    return api_.from_value(Enter(), place, object, error);
  });
}

Status Engine::RegisterModule(const std::string& name, const std::string& source) {
  td_error error{};
  const td_code code = api_.register_module(Enter(), name.c_str(), source.c_str(), &error);
  return code == TD_OK ? Status() : TakeError(api_, code, error);
}

Result<Value> Engine::Pickle(td_object object, td_object importer) {
  td_value value{};
  td_error error{};
  const td_code code = api_.pickle(Enter(), object, importer, &value, &error);
  if (code != TD_OK) {
    return TakeError(api_, code, error);
  }
  return Take(value, AliasedTensors::kShare);
}

Result<td_object> Engine::Unpickle(td_object importer, const Value& pickled) {
  return ObjectOf(pickled, [&](td_value* place, td_object* object, td_error* error) {
    return api_.unpickle(Enter(), importer, place, object, error);
  });
}

void Engine::Reset() {
  api_.reset(Enter());
}

void Engine::Interrupt() {
  const std::lock_guard lock(stop_mutex_);
  if (!stopped_) {
    api_.interrupt(engine_);
  }
}

void Engine::Release(td_object object) {
  // Held for the engine's queueing only, which is short; an Obj may be dropped while the
  // process ends.
  const std::lock_guard lock(stop_mutex_);
  if (!stopped_) {
    api_.release_object(engine_, object);
  }
}

void Engine::Collect() {
  {
    const std::lock_guard lock(stop_mutex_);
    if (stopped_) {
      return;
    }
  }
  // Not under the lock: this waits for the interpreter. Stop() runs on the same thread.
  api_.collect(Enter());
}

td_usage Engine::Usage() const {
  td_usage usage{};
  api_.usage(engine_, &usage);
  return usage;
}

}  // namespace torchdeploy
