// What an archive says of its model before any of its code is run.
#pragma once

#include <cstdint>
#include <map>
#include <optional>
#include <string>
#include <vector>

namespace torchdeploy {

// One named input or output.
struct TensorSpec {
  std::string name;
  // Open Inference Protocol name: "FP32", "BYTES" ...; empty when any is accepted.
  std::string datatype;
  // -1 marks a free extent. Nothing when any shape is accepted.
  std::optional<std::vector<int64_t>> shape;
};

// Where a pickled object stands in an archive.
struct PickleName {
  std::string package = "model";
  std::string resource = "model.pkl";
};

// What a method of the model takes and gives.
struct MethodSpec {
  std::vector<TensorSpec> inputs;
  std::vector<TensorSpec> outputs;
};

// Source: docs/manifest.md is the format; python/torchdeploy_pkg/manifest.py writes it.
struct Manifest {
  std::string name;
  std::string version = "1";
  // What is served: called with the inputs as keyword arguments, it returns a dict from
  // output name to value.
  PickleName entry;
  // Inputs by name that it takes, to try it with; nothing when the archive has none.
  std::optional<PickleName> example;
  std::vector<TensorSpec> inputs;
  std::vector<TensorSpec> outputs;
  // Whether the entry yields its answers, by the methods that docs/manifest.md names.
  bool yields = false;
  // By name, those that may be called instead of the model itself: attributes of the entry with
  // "method_" before the name.
  std::map<std::string, MethodSpec> methods;
  // The dimension along which requests may be joined; nothing when they may not.
  std::optional<int64_t> batch_dimension;
  std::string python_version;
  std::string torch_version;
  std::map<std::string, std::string> distributions;  // Name to version.
  std::string json;                                  // The record as the archive has it.
};

}  // namespace torchdeploy
