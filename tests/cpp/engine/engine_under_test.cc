// The one engine of this test program, and short ways to use it.
#include "tests/cpp/engine/engine_under_test.h"

#include <dlfcn.h>

#include <cstddef>
#include <cstdint>
#include <cstdlib>
#include <cstring>
#include <fstream>
#include <iostream>
#include <iterator>
#include <string>
#include <utility>
#include <vector>

#include <gtest/gtest.h>

#include "interpreter_lib/abi/interp_abi.h"

#include "tests/cpp/engine/values.h"

namespace torchdeploy::testing {
namespace {

[[noreturn]] void Abort(const std::string& message) {
  std::cerr << message << "\n";
  std::abort();
}

decltype(&td_engine_get_api) LoadLibrary() {
  void* const library = dlopen(ENGINE_LIBRARY, RTLD_NOW | RTLD_GLOBAL);
  if (library == nullptr) {
    Abort(std::string("cannot load ") + ENGINE_LIBRARY);
  }
  return reinterpret_cast<decltype(&td_engine_get_api)>(dlsym(library, "td_engine_get_api"));
}

td_engine_api ReadApi(decltype(&td_engine_get_api) get_api) {
  td_engine_api api{};
  api.abi_major = TD_ABI_MAJOR;
  api.abi_minor = TD_ABI_MINOR;
  api.size = sizeof api;
  if (get_api(&api) != TD_OK) {
    Abort("the engine speaks another version");
  }
  return api;
}

}  // namespace

td_value ReadArchive(const std::string& path) {
  std::ifstream file(path, std::ios::binary);
  const std::string text{std::istreambuf_iterator<char>(file), {}};
  std::vector<std::byte> bytes(text.size());
  std::memcpy(bytes.data(), text.data(), text.size());
  const auto size = static_cast<int64_t>(bytes.size());
  return Arena::Tensor(RawTensor({kDLUInt, 8, 1}, {size}, {}, std::move(bytes)));
}

Outcome::~Outcome() {
  engine_->api().free_value(engine_->engine(), &value_);
}

td_value& Outcome::value() {
  EXPECT_TRUE(ok()) << failure_.type << ": " << failure_.message << "\n" << failure_.traceback;
  return value_;
}

std::string Outcome::Show() {
  return testing::Show(value());
}

EngineUnderTest& EngineUnderTest::Get() {
  static EngineUnderTest engine;
  return engine;
}

EngineUnderTest::EngineUnderTest() : get_api_(LoadLibrary()), api_(ReadApi(get_api_)) {
  td_options options{};
  options.size = sizeof options;
  options.slot = kSlot;
  options.intra_op_threads = kIntraOpThreads;
  options.python = PYTHON_EXECUTABLE;
  options.context = this;
  options.releases_pending = [](void* self) {
    ++static_cast<EngineUnderTest*>(self)->releases_pending_;
  };
  td_error error{};
  if (api_.create(&options, &engine_, &error) != TD_OK) {
    Abort(std::string(error.type) + ": " + error.message + "\n" + error.traceback);
  }
  if (api_.global(engine_, "builtins", "eval", &eval_, &error) != TD_OK) {
    Abort(error.message);
  }
  Arena arena;
  td_value empty = arena.Dict({});
  if (api_.from_value(engine_, &empty, &names_, &error) != TD_OK) {
    Abort(error.message);
  }
  define_ = Eval(
      "lambda code, name: (lambda names: exec(code, names) or names[name])"
      "({'torch': __import__('torch'), '__name__': 'model'})");
}

td_object EngineUnderTest::Eval(const std::string& expression) {
  Arena arena;
  Outcome outcome = Call(eval_, {arena.Str(expression), Arena::Object(names_)}, {}, TD_WANT_OBJECT);
  return outcome.value().as.object;
}

td_object EngineUnderTest::Define(const std::string& code, const std::string& name) {
  Arena arena;
  Outcome outcome = Call(define_, {arena.Str(code), arena.Str(name)}, {}, TD_WANT_OBJECT);
  return outcome.value().as.object;
}

Outcome EngineUnderTest::Call(td_object callable, std::vector<td_value> arguments,
                              const Keywords& keywords, td_want want) {
  std::vector<td_text> names;
  std::vector<td_value> values;
  for (const auto& [name, value] : keywords) {
    names.push_back({name.data(), name.size()});
    values.push_back(value);
  }
  td_arguments all{arguments.data(), arguments.size(), names.data(), values.data(), names.size()};
  td_value value{};
  td_error error{};
  const td_code code = api_.call(engine_, callable, &all, want, &value, &error);
  return {this, value, Take(code, &error)};
}

Outcome EngineUnderTest::CallExpression(const std::string& expression,
                                        std::vector<td_value> arguments) {
  const td_object callable = Eval(expression);
  Outcome outcome = Call(callable, std::move(arguments));
  api_.release_object(engine_, callable);
  return outcome;
}

Outcome EngineUnderTest::Value(const std::string& expression) {
  const td_object object = Eval(expression);
  td_value value{};
  td_error error{};
  const td_code code = api_.to_value(engine_, object, &value, &error);
  api_.release_object(engine_, object);
  return {this, value, Take(code, &error)};
}

Failure EngineUnderTest::OpenPackage(const std::string& path, td_object* importer) {
  td_value archive = ReadArchive(path);
  td_error error{};
  const td_code code = api_.open_package(engine_, path.c_str(), &archive, importer, &error);
  EXPECT_EQ(archive.as.tensor, nullptr);
  if (code == TD_OK) {
    paths_[*importer] = path;
  }
  return Take(code, &error);
}

Failure EngineUnderTest::LoadPickle(td_object importer, const std::string& package,
                                    const std::string& resource, td_object* object) {
  const auto path = paths_.find(importer);
  td_value archive = path == paths_.end() ? Arena::None() : ReadArchive(path->second);
  td_error error{};
  const td_pickle pickle{package.c_str(), resource.c_str()};
  const td_code code = api_.load_pickle(engine_, importer, &pickle, &archive, object, &error);
  return Take(code, &error);
}

Failure EngineUnderTest::Take(td_code code, td_error* error) const {
  if (code == TD_OK) {
    return {};
  }
  Failure failure{error->code, error->type, error->message, error->traceback};
  EXPECT_EQ(failure.code, code);
  api_.free_error(error);
  return failure;
}

}  // namespace torchdeploy::testing

int main(int argc, char** argv) {
  ::testing::InitGoogleTest(&argc, argv);
  torchdeploy::testing::EngineUnderTest& engine = torchdeploy::testing::EngineUnderTest::Get();
  const int result = RUN_ALL_TESTS();
  engine.api().stop(engine.engine());
  std::cout.flush();
  // As a host does: exit() would run the destructors of torch beside its threads.
  std::_Exit(result);
}
