#include "tests/fakes/fake_models.h"

#include <chrono>
#include <cmath>
#include <cstddef>
#include <cstdint>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <functional>
#include <map>
#include <mutex>
#include <optional>
#include <span>
#include <string>
#include <thread>
#include <utility>
#include <vector>

#include <dlpack/dlpack.h>

#include "torchdeploy/status.h"
#include "torchdeploy/tensor.h"
#include "torchdeploy/value.h"

#include "tests/fakes/fake_values.h"

namespace torchdeploy::fakes {

namespace {

constexpr DLDataType kFloat32{kDLFloat, 32, 1};
constexpr DLDataType kInt64{kDLInt, 64, 1};

Status Raise(const std::string& type, const std::string& message) {
  return {Code::kUnknown, message, type,
          "Traceback (most recent call last):\n  File \"fake.py\", line 1, in __call__\n" + type +
              ": " + message + "\n"};
}

const Value* Argument(const FakeArguments& arguments, const std::string& name) {
  for (const auto& [keyword, value] : arguments.keywords) {
    if (keyword == name) {
      return &value;
    }
  }
  return arguments.positional.empty() ? nullptr : &arguments.positional[0];
}

template <typename T>
std::optional<T> FirstElement(const Tensor& tensor) {
  if (tensor.num_elements() == 0 ||
      tensor.size_bytes() / static_cast<size_t>(tensor.num_elements()) != sizeof(T)) {
    return std::nullopt;
  }
  T first;
  std::memcpy(&first, tensor.data(), sizeof first);
  return first;
}

int64_t Milliseconds(const Value* value) {
  if (value == nullptr) {
    return 0;
  }
  if (const auto* const integer = value->get<int64_t>()) {
    return *integer;
  }
  if (const auto* const tensor = value->get<Tensor>()) {
    return FirstElement<int64_t>(*tensor).value_or(FirstElement<int32_t>(*tensor).value_or(0));
  }
  return 0;
}

std::string Message(const Value* value) {
  if (value == nullptr) {
    return "failed on request";
  }
  if (const auto* const list = value->get<List>(); list != nullptr && !list->empty()) {
    return Message(&list->front());
  }
  if (const auto* const bytes = value->get<Bytes>()) {
    return bytes->data;
  }
  const auto* const text = value->get<std::string>();
  return text == nullptr ? "failed on request" : *text;
}

Value KeywordsAsDict(const FakeArguments& arguments) {
  Dict dict;
  for (const auto& [keyword, value] : arguments.keywords) {
    dict.emplace_back(Value(keyword), value);
  }
  return Value(std::move(dict));
}

Value Echo(const FakeArguments& arguments) {
  return arguments.keywords.empty() && arguments.positional.size() == 1 ? arguments.positional[0]
                                                                        : KeywordsAsDict(arguments);
}

// `number` as it is, or for a call with keywords as an INT64 tensor of shape [1] by `name`.
Value Number(const FakeArguments& arguments, const std::string& name, int64_t number) {
  if (arguments.keywords.empty()) {
    return Value(number);
  }
  Result<Tensor> tensor = Tensor::Allocate(kInt64, {1});
  std::memcpy(tensor->data(), &number, sizeof number);
  return Value(Dict{{Value(name), Value(*std::move(tensor))}});
}

Result<Value> Double(FakeInterpreter& /*interpreter*/, const FakeArguments& arguments) {
  const Value* const x = Argument(arguments, "x");
  const auto* const tensor = x == nullptr ? nullptr : x->get<Tensor>();
  if (tensor == nullptr || tensor->dtype().code != kDLFloat || tensor->dtype().bits != 32) {
    return Raise("TypeError", "x must be a float32 tensor");
  }
  Result<Tensor> y = tensor->Clone();
  if (!y.ok()) {
    return y.status();
  }
  for (float& element :
       std::span(static_cast<float*>(y->data()), static_cast<size_t>(y->num_elements()))) {
    if (std::isnan(element)) {
      return Raise("ValueError", "x holds a NaN");
    }
    element *= 2;
  }
  return Value(Dict{{Value("y"), Value(*std::move(y))}});
}

Result<Value> Alias(FakeInterpreter& interpreter, const FakeArguments& arguments) {
  for (float& element : interpreter.aliased) {
    element = static_cast<float>(interpreter.calls.load());
  }
  Value tensor(Tensor::View(interpreter.aliased, kFloat32, {4}, nullptr));
  if (arguments.keywords.empty()) {
    return tensor;
  }
  return Value(Dict{{Value("y"), std::move(tensor)}});
}

Result<Value> Loop(FakeInterpreter& interpreter, const FakeArguments& /*arguments*/) {
  while (!interpreter.is_interrupted) {
    std::this_thread::sleep_for(std::chrono::milliseconds(1));
  }
  return Status(Code::kCancelled, "the call was interrupted");
}

constexpr int64_t kFailingItem = 100;

// The item, or None after the last.
Result<Value> ItemAfter(FakeInterpreter& interpreter, FakeInterpreter::Stream& stream) {
  const int64_t item = stream.next++;
  if (item == kFailingItem) {
    return Raise("ValueError", "item 100");
  }
  if (item == 1 && stream.items < 0) {
    return Loop(interpreter, {});
  }
  if (stream.items >= 0 && item >= stream.items) {
    return Value(None());
  }
  return Number({.positional = {}, .keywords = {{"items", Value(None())}}}, "item", item);
}

void EndStream(FakeInterpreter& interpreter, int64_t id) {
  FakeProcess::Get().open_streams -= static_cast<int64_t>(interpreter.streams.erase(id));
}

Result<Value> NextItem(FakeInterpreter& interpreter, int64_t id) {
  Result<Value> item = ItemAfter(interpreter, interpreter.streams.at(id));
  if (!item.ok() || item->is<None>()) {
    EndStream(interpreter, id);
  }
  return item;
}

// The first positional argument of each method.
int64_t StreamOf(const FakeArguments& arguments) {
  return Milliseconds(arguments.positional.empty() ? nullptr : &arguments.positional[0]);
}

Result<Value> BeginItems(FakeInterpreter& interpreter, const FakeArguments& arguments) {
  const int64_t id = StreamOf(arguments);
  interpreter.streams[id].items = Milliseconds(Argument(arguments, "items"));
  ++FakeProcess::Get().open_streams;
  return NextItem(interpreter, id);
}

Result<Value> AdvanceItems(FakeInterpreter& interpreter, const FakeArguments& arguments) {
  const int64_t id = StreamOf(arguments);
  return interpreter.streams.contains(id) ? NextItem(interpreter, id)
                                          : Raise("KeyError", "no such stream");
}

Result<Value> EndItems(FakeInterpreter& interpreter, const FakeArguments& arguments) {
  EndStream(interpreter, StreamOf(arguments));
  return Value(None());
}

bool Flag(const FakeArguments& arguments, const std::string& name) {
  const Value* const value = Argument(arguments, name);
  const auto* const tensor = value == nullptr ? nullptr : value->get<Tensor>();
  return tensor != nullptr && FirstElement<uint8_t>(*tensor).value_or(0) == 1;
}

// What the sequence `id` has brought since its start, together.
Result<Value> AddToSequence(FakeInterpreter& interpreter, const FakeArguments& arguments) {
  const int64_t id = Milliseconds(Argument(arguments, "id"));
  if (Flag(arguments, "start")) {
    interpreter.sums[id] = 0;
  }
  if (!interpreter.sums.contains(id)) {
    return Raise("KeyError", "no such sequence here");
  }
  const int64_t sum = interpreter.sums[id] += Milliseconds(Argument(arguments, "x"));
  if (Flag(arguments, "end")) {
    interpreter.sums.erase(id);
  }
  return Number(arguments, "sum", sum);
}

using Model = std::function<Result<Value>(FakeInterpreter&, const FakeArguments&)>;

const std::map<std::string, Model>& Models() {
  static const std::map<std::string, Model> models = {
      {"alias.pkl", Alias},
      {"count.pkl",
       [](FakeInterpreter& interpreter, const FakeArguments& arguments) -> Result<Value> {
         return Number(arguments, "count", interpreter.calls.load());
       }},
      {"double.pkl", Double},
      {"echo.pkl",
       [](FakeInterpreter&, const FakeArguments& arguments) -> Result<Value> {
         return Echo(arguments);
       }},
      {"echo.pkl.method_double", Double},
      {"entry.pkl",
       [](FakeInterpreter&, const FakeArguments& arguments) -> Result<Value> {
         return KeywordsAsDict(arguments);
       }},
      {"fail.pkl",
       [](FakeInterpreter&, const FakeArguments& arguments) -> Result<Value> {
         return Raise("ValueError", Message(Argument(arguments, "message")));
       }},
      {"flaky.pkl",
       [](FakeInterpreter&, const FakeArguments& arguments) -> Result<Value> {
         return Echo(arguments);
       }},
      {"hang.pkl",
       [](FakeInterpreter&, const FakeArguments& arguments) -> Result<Value> {
         FakeProcess::Get().Hang();
         return Echo(arguments);
       }},
      {"items.pkl",
       [](FakeInterpreter&, const FakeArguments&) -> Result<Value> {
         return Raise("TypeError", "only its methods can be called");
       }},
      {"items.pkl.advance", AdvanceItems},
      {"items.pkl.begin", BeginItems},
      {"items.pkl.end", EndItems},
      {"loop.pkl", Loop},
      {"model.pkl", Double},
      {"sequence.pkl", AddToSequence},
      {"sleep.pkl",
       [](FakeInterpreter&, const FakeArguments& arguments) -> Result<Value> {
         std::this_thread::sleep_for(
             std::chrono::milliseconds(Milliseconds(Argument(arguments, "milliseconds"))));
         return Echo(arguments);
       }},
      {"slot.pkl",
       [](FakeInterpreter& interpreter, const FakeArguments& arguments) -> Result<Value> {
         return Number(arguments, "slot", interpreter.slot);
       }},
  };
  return models;
}

using Function = std::function<Value(int64_t live_objects, const FakeArguments&)>;

Value Nothing() {
  return Value(None());
}

const std::map<std::string, Function>& Functions() {
  static const std::map<std::string, Function> functions = {
      {"collects",
       [](int64_t, const FakeArguments&) { return Value(FakeProcess::Get().collects.load()); }},
      {"created",
       [](int64_t, const FakeArguments&) { return Value(FakeProcess::Get().created.load()); }},
      {"fail_create",
       [](int64_t, const FakeArguments& arguments) {
         FakeProcess::Get().fail_create_of_slot = Milliseconds(Argument(arguments, "slot"));
         return Nothing();
       }},
      {"fail_next_load",
       [](int64_t, const FakeArguments&) {
         FakeProcess::Get().fail_next_load = true;
         return Nothing();
       }},
      {"hanging",
       [](int64_t, const FakeArguments&) { return Value(FakeProcess::Get().hanging()); }},
      {"identity", [](int64_t, const FakeArguments& arguments) { return Echo(arguments); }},
      {"live_objects",
       [](int64_t live_objects, const FakeArguments&) { return Value(live_objects); }},
      {"live_tensors", [](int64_t, const FakeArguments&) { return Value(LiveTensors()); }},
      {"open_streams",
       [](int64_t, const FakeArguments&) { return Value(FakeProcess::Get().open_streams.load()); }},
      {"release",
       [](int64_t, const FakeArguments&) {
         FakeProcess::Get().ReleaseHanging();
         return Nothing();
       }},
  };
  return functions;
}

}  // namespace

FakeProcess& FakeProcess::Get() {
  // Never destroyed: at exit() interpreters may still be running.
  static auto* const process = new FakeProcess;
  return *process;
}

void FakeProcess::Hang() {
  std::unique_lock lock(mutex_);
  ++hanging_;
  released_.wait(lock, [this, before = releases_] { return releases_ > before; });
}

void FakeProcess::ReleaseHanging() {
  const std::lock_guard lock(mutex_);
  ++releases_;
  hanging_ = 0;  // Not when they wake, or a test would count them with those that hang next.
  released_.notify_all();
}

int64_t FakeProcess::hanging() {
  const std::lock_guard lock(mutex_);
  return hanging_;
}

bool IsModel(const std::string& resource) {
  return Models().contains(resource);
}

std::string MethodOf(const std::string& resource, const std::string& name) {
  return resource + "." + name;
}

Result<Value> CallModel(const std::string& resource, FakeInterpreter& interpreter,
                        const FakeArguments& arguments) {
  if (interpreter.is_calling.exchange(true)) {
    std::fprintf(stderr, "fake engine: two calls overlap in interpreter %u\n", interpreter.slot);
    std::abort();
  }
  interpreter.is_interrupted = false;
  interpreter.calls.fetch_add(1);
  Result<Value> result = Models().at(resource)(interpreter, arguments);
  interpreter.is_calling = false;
  return result;
}

bool IsFunction(const std::string& name) {
  return Functions().contains(name);
}

Result<Value> CallFunction(const std::string& name, int64_t live_objects,
                           const FakeArguments& arguments) {
  return Functions().at(name)(live_objects, arguments);
}

}  // namespace torchdeploy::fakes
