// The published C++ API of torch::deploy, over torchdeploy: docs/torch_deploy.md.
//
// Errors are std::runtime_error. A model's exception has its type, its message and its traceback
// in what(). Unless it is said otherwise everything is thread-safe.
#pragma once

#include <cstddef>
#include <functional>
#include <memory>
#include <optional>
#include <string>
#include <unordered_map>
#include <utility>
#include <vector>

// Programs get c10::irange, torch::jit::IValue and the reader interface through this header.
#include <ATen/core/ivalue.h>
#include <c10/util/ArrayRef.h>
#include <c10/util/irange.h>                    // IWYU pragma: export
#include <caffe2/serialize/inline_container.h>  // IWYU pragma: export
#include <torch/csrc/api/include/torch/imethod.h>
#include <torch/csrc/jit/serialization/import.h>  // IWYU pragma: export

#include "torchdeploy/obj.h"
#include "torchdeploy/package.h"
#include "torchdeploy/replicated_obj.h"

namespace torch::deploy {

class Interpreter;
struct InterpreterManager;
struct InterpreterSession;
struct ManagerRecord;  // Internal.
struct Package;
struct ReplicatedObj;
struct SessionRecord;  // Internal.

using Kwargs = std::unordered_map<std::string, c10::IValue>;

// A Python object in one interpreter. Copies refer to the same object.
//
// It is used within the session that gave it, on that session's thread. Outside it every operation
// is an error; dropping it is always safe.
struct Obj {
  Obj() = default;  // Refers to no object: every operation is an error.

  // What crosses is in docs/torch_deploy.md. Tensors share the object's memory.
  [[nodiscard]] at::IValue toIValue() const;

  // Objects of another interpreter, or of a session that has ended, are errors.
  Obj operator()(at::ArrayRef<Obj> args) const;
  Obj operator()(at::ArrayRef<at::IValue> args) const;
  Obj callKwargs(const std::vector<at::IValue>& args, const Kwargs& kwargs) const;
  Obj callKwargs(const Kwargs& kwargs) const;

  [[nodiscard]] bool hasattr(const char* name) const;
  Obj attr(const char* name) const;

 private:
  friend struct InterpreterSession;
  friend struct SessionRecord;
  explicit Obj(torchdeploy::Obj native) : native_(std::move(native)) {}

  torchdeploy::Obj native_;
};

// The right to use one interpreter. Used and destroyed on the thread that made it; not
// thread-safe. Sessions nest on one thread, for the same interpreter, too.
struct InterpreterSession {
  InterpreterSession(InterpreterSession&&) noexcept;
  InterpreterSession& operator=(InterpreterSession&&) noexcept;
  InterpreterSession(const InterpreterSession&) = delete;
  InterpreterSession& operator=(const InterpreterSession&) = delete;
  ~InterpreterSession();

  // The importer for Package::acquireSession(), the object for ReplicatedObj::acquireSession().
  Obj self;  // NOLINT(readability-identifier-naming): the published name.

  // `from module import name`.
  Obj global(const char* module, const char* name) const;
  Obj fromIValue(const at::IValue& value) const;
  // The same Python object each time in one interpreter.
  Obj fromMovable(const ReplicatedObj& object) const;
  // Whether `obj` was given by this session.
  [[nodiscard]] bool isOwner(const Obj& obj) const;
  // As InterpreterManager::createMovable(), which is preferred.
  ReplicatedObj createMovable(const Obj& obj) const;

 private:
  friend struct SessionRecord;
  explicit InterpreterSession(std::unique_ptr<SessionRecord> record);
  [[nodiscard]] const SessionRecord& record() const;

  std::unique_ptr<SessionRecord> record_;
};

// What an interpreter finds when it starts.
class Environment {
 public:
  Environment() = default;
  Environment(const Environment&) = delete;
  Environment& operator=(const Environment&) = delete;
  virtual ~Environment();

  // Called once per interpreter while a manager is made.
  virtual void configureInterpreter(Interpreter* interpreter) = 0;
  // Folders that are appended to sys.path before that.
  virtual const std::vector<std::string>& getExtraPythonPaths();

 private:
  std::vector<std::string> extra_python_paths_;
};

class NoopEnvironment : public Environment {
 public:
  void configureInterpreter(Interpreter* /*interpreter*/) override {}
};

// Appends one folder to sys.path of each interpreter.
class PathEnvironment : public Environment {
 public:
  explicit PathEnvironment(std::string path) : path_(std::move(path)) {}
  void configureInterpreter(Interpreter* interpreter) override;

 private:
  std::string path_;
};

// One interpreter of a manager. It must not outlive the manager.
class Interpreter {
 public:
  Interpreter(Interpreter&&) noexcept = default;
  Interpreter& operator=(Interpreter&&) = delete;
  Interpreter(const Interpreter&) = delete;
  Interpreter& operator=(const Interpreter&) = delete;
  ~Interpreter() = default;

  // Waits, in order of arrival, until it is free; not when this thread holds it already.
  [[nodiscard]] InterpreterSession acquireSession() const;

 private:
  friend struct InterpreterManager;
  friend struct ReplicatedObj;
  Interpreter(std::shared_ptr<ManagerRecord> manager, size_t slot)
      : manager_(std::move(manager)), slot_(slot) {}

  std::shared_ptr<ManagerRecord> manager_;
  size_t slot_;
};

// A pool of interpreters; in interpreter i, torch.version.interp == i. They are those of
// $VIRTUAL_ENV/bin/python, else of python3; torchdeploy_pkg must be installed there.
struct InterpreterManager {
  // Takes 2 to 4 s for two interpreters. A manager may be made after another was destroyed.
  explicit InterpreterManager(size_t interpreters = 2, const std::shared_ptr<Environment>& env =
                                                           std::make_shared<NoopEnvironment>());
  InterpreterManager(const InterpreterManager&) = delete;
  InterpreterManager& operator=(const InterpreterManager&) = delete;
  // Waits for the calls that run. REQUIRES: no session lives.
  ~InterpreterManager();

  // A free interpreter, else the first that becomes free, in order of arrival; where that could
  // not end because of the sessions of this thread, one that this thread holds.
  InterpreterSession acquireOne();
  // Valid as long as this manager; what acquireOne() gives is not affected.
  at::ArrayRef<Interpreter> allInstances();
  // Of all interpreters only the first `count` are used from now on, but for
  // Interpreter::acquireSession(). 1 to the number of interpreters.
  void debugLimitInterpreters(size_t count);

  // Opens an archive of torch.package. Nothing of it runs.
  Package loadPackage(const std::string& path);
  // Reads all of it into memory.
  Package loadPackage(const std::shared_ptr<caffe2::serialize::ReadAdapterInterface>& reader);

  // `import name` runs `source` in each interpreter, from now on, where no module of that name was
  // imported before. Waits until each is free. An error when it does not compile.
  void registerModuleSource(const std::string& name, const std::string& source);
  // 1 for a new manager, as published: one was the manager's own.
  size_t countRegisteredModuleSources();

  // `obj`, pickled, for all interpreters; its tensors' memory is shared with it. An error when
  // `obj` is not of `session`.
  ReplicatedObj createMovable(const Obj& obj, InterpreterSession* session);

 private:
  std::shared_ptr<ManagerRecord> record_;
  std::vector<Interpreter> interpreters_;
};

// An object that each interpreter makes when it first needs it. Copies mean the same object.
// Once its manager is destroyed, every operation is an error.
struct ReplicatedObj {
  ReplicatedObj() = default;  // Refers to no object: every operation is an error.

  // A session of any interpreter, as InterpreterManager::acquireOne(), or of this one.
  [[nodiscard]] InterpreterSession acquireSession(const Interpreter* interpreter = nullptr) const;

  // Each call runs on this thread, in an interpreter of its own choice. The tensors of the result
  // belong to the caller, unless this thread holds a session: then they share the object's memory.
  at::IValue operator()(at::ArrayRef<at::IValue> args) const;
  [[nodiscard]] at::IValue callKwargs(const std::vector<at::IValue>& args,
                                      const Kwargs& kwargs) const;
  [[nodiscard]] at::IValue callKwargs(const Kwargs& kwargs) const;
  [[nodiscard]] bool hasattr(const char* name) const;

  // Drops it from all interpreters, or from this one; the next use makes it again.
  void unload(const Interpreter* interpreter = nullptr);
  Obj toObj(InterpreterSession* session) const;

 private:
  friend struct InterpreterSession;
  friend struct Package;
  ReplicatedObj(std::shared_ptr<ManagerRecord> manager, torchdeploy::ReplicatedObj native);
  [[nodiscard]] const torchdeploy::ReplicatedObj& native() const;
  [[nodiscard]] std::optional<size_t> SlotOf(const Interpreter* interpreter) const;

  std::shared_ptr<ManagerRecord> manager_;
  std::optional<torchdeploy::ReplicatedObj> native_;
};

// An opened archive with modules of its own. Copies mean the same archive.
struct Package {
  // Loads it in one interpreter at once, so that what is missing is an error here.
  ReplicatedObj loadPickle(const std::string& module, const std::string& file);
  // What the archive holds as text or bytes.
  std::string loadText(const std::string& package, const std::string& key);
  std::string loadBinary(const std::string& package, const std::string& key);

  // As InterpreterManager::acquireOne(); self is the archive's torch.package importer.
  InterpreterSession acquireSession();
  // As InterpreterManager::createMovable().
  ReplicatedObj createMovable(const Obj& obj, InterpreterSession* session);

 private:
  friend struct InterpreterManager;
  Package(std::shared_ptr<ManagerRecord> manager, torchdeploy::Package native)
      : manager_(std::move(manager)), native_(std::move(native)) {}

  std::shared_ptr<ManagerRecord> manager_;
  torchdeploy::Package native_;
};

// A method of a replicated object.
class PythonMethodWrapper : public torch::IMethod {
 public:
  PythonMethodWrapper(ReplicatedObj model, std::string method)
      : model_(std::move(model)), name_(std::move(method)) {}

  const std::string& name() const override { return name_; }
  c10::IValue operator()(std::vector<c10::IValue> args,
                         const IValueMap& kwargs = IValueMap()) const override;

 private:
  // By inspect.signature().
  void setArgumentNames(std::vector<std::string>& names) const override;

  ReplicatedObj model_;
  std::string name_;
};

}  // namespace torch::deploy

namespace multipy {
namespace runtime = torch::deploy;  // NOLINT(misc-unused-alias-decls): the published name.
}  // namespace multipy
