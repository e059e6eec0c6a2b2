// Starting the Python interpreter of this library, and the Python code that the engine uses.
#include "interpreter_lib/src/interpreter_start.h"

#include <Python.h>

#include <memory>
#include <string>
#include <string_view>

#include "interpreter_lib/abi/interp_abi.h"
#include "interpreter_lib/common/engine_error.h"
#include "interpreter_lib/src/py_ref.h"
#include "interpreter_lib/src/python_error.h"
#include "interpreter_lib/src/python_memory.h"
#include "interpreter_lib/src/settings_at_rest.h"

namespace torchdeploy {

// Made by td_embed_text().
extern const std::string_view kEnginePackageText;
extern const std::string_view kErrorsText;
extern const std::string_view kMovablesText;
extern const std::string_view kNumpyValuesText;
extern const std::string_view kRegisteredModulesText;
extern const std::string_view kSettingsText;
extern const std::string_view kArchiveImporterText;
extern const std::string_view kArchiveMemoryText;
extern const std::string_view kPackagesText;
extern const std::string_view kPackageSourcesText;
extern const std::string_view kOperatorClaimsText;
extern const std::string_view kBootText;

namespace {

constexpr const char* kPackage = "torchdeploy_engine";

void CheckStatus(const PyStatus& status) {
  if (PyStatus_Exception(status) != 0) {
    const std::string where = status.func != nullptr ? std::string(status.func) + ": " : "";
    const std::string what = status.err_msg != nullptr ? status.err_msg : "Python asked to exit";
    throw EngineError(TD_FAILED_PRECONDITION, "Python does not start: " + where + what);
  }
}

// Frees what a PyConfig holds.
class Config {
 public:
  Config() { PyConfig_InitIsolatedConfig(&config_); }
  Config(const Config&) = delete;
  Config& operator=(const Config&) = delete;
  ~Config() { PyConfig_Clear(&config_); }

  PyConfig* operator->() { return &config_; }
  PyConfig* get() { return &config_; }

 private:
  PyConfig config_{};
};

// Loads one embedded module, whose `name` is relative to the package; "" is the package.
PyRef LoadModule(std::string_view name, std::string_view source) {
  const std::string full = std::string(kPackage) + (name.empty() ? "" : ".") + std::string(name);
  const std::string file = "<" + full + ">";
  const PyRef code =
      Take(Py_CompileString(std::string(source).c_str(), file.c_str(), Py_file_input));
  if (name.empty()) {
    // A path, though an empty one, makes it a package.
    const PyRef package = Take(PyImport_AddModule(full.c_str()) == nullptr
                                   ? nullptr
                                   : Py_NewRef(PyImport_AddModule(full.c_str())));
    const PyRef path = Take(PyList_New(0));
    Check(PyObject_SetAttrString(package.get(), "__path__", path.get()));
  }
  return Take(PyImport_ExecCodeModuleEx(full.c_str(), code.get(), file.c_str()));
}

PyRef Attribute(const PyRef& object, const char* name) {
  return Take(PyObject_GetAttrString(object.get(), name));
}

}  // namespace

void InitializePython(const td_options& options) {
  if (Py_IsInitialized() != 0) {
    throw EngineError(TD_FAILED_PRECONDITION,
                      "this library holds an interpreter already: load a copy of its own for each");
  }
  PyPreConfig preconfig;
  PyPreConfig_InitIsolatedConfig(&preconfig);
  preconfig.utf8_mode = 1;
  CheckStatus(Py_PreInitialize(&preconfig));
  CountPythonMemory();

  Config config;
  config->site_import = 1;
  config->install_signal_handlers = 0;
  CheckStatus(PyConfig_SetBytesString(config.get(), &config->program_name, options.python));
  CheckStatus(PyConfig_SetBytesString(config.get(), &config->executable, options.python));
  CheckStatus(Py_InitializeFromConfig(config.get()));
}

void LoadEngineFunctions(const td_options& options, EngineFunctions* functions) {
  LoadModule("", kEnginePackageText);
  const PyRef errors = LoadModule("errors", kErrorsText);
  functions->describe = Attribute(errors, "describe");
  functions->interruption = Attribute(errors, "Interruption");
  functions->numpy_as_plain = Attribute(LoadModule("numpy_values", kNumpyValuesText), "as_plain");
  LoadModule("archive_memory", kArchiveMemoryText);
  functions->free_closed =
      Attribute(LoadModule("archive_importer", kArchiveImporterText), "free_closed");
  const PyRef packages = LoadModule("packages", kPackagesText);
  functions->open_package = Attribute(packages, "open_package");
  functions->load_pickle = Attribute(packages, "load_pickle");
  LoadModule("package_sources", kPackageSourcesText);
  LoadModule("operator_claims", kOperatorClaimsText);
  const PyRef movables = LoadModule("movables", kMovablesText);
  functions->pickle = Attribute(movables, "pickle");
  functions->unpickle = Attribute(movables, "unpickle");
  functions->register_module =
      Attribute(LoadModule("registered_modules", kRegisteredModulesText), "register");
  const PyRef boot = LoadModule("boot", kBootText);
  functions->reset = Attribute(boot, "reset");
  functions->stop = Attribute(boot, "stop");

  Take(PyObject_CallMethod(boot.get(), "start", "Ii", options.slot, options.intra_op_threads));

  const PyRef settings = LoadModule("settings", kSettingsText);
  functions->settings = std::make_unique<const SettingsAtRest>(
      Attribute(settings, "restore_warning_filters"), Attribute(settings, "restore_deterministic"));
}

}  // namespace torchdeploy
