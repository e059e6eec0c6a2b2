#include "server/model_settings.h"

#include <algorithm>
#include <chrono>
#include <cstddef>
#include <cstdint>
#include <functional>
#include <limits>
#include <map>
#include <stdexcept>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "server/name_list.h"
#include "server/nearest_name.h"
#include "server/padding.h"
#include "server/padding_settings.h"
#include "server/request_queue.h"
#include "server/sequence_inputs.h"
#include "server/version_policy.h"
#include "torchdeploy/status.h"
#include "torchdeploy/value.h"

#include <yaml-cpp/yaml.h>

namespace torchdeploy::server {

namespace {

constexpr int64_t kMostRows = 1'000'000;
constexpr int64_t kLongestDelayUs = 60'000'000;
constexpr int64_t kLongestQueue = 1'000'000;
constexpr int64_t kMostVersions = 1000;
constexpr int64_t kMostWarmupCalls = 1000;
constexpr int64_t kLastDimension = 63;
constexpr int64_t kMostInterpreters = 1024;
constexpr int64_t kLongestIdleMs = 86'400'000;
constexpr int64_t kMostSequences = 1'000'000;

// Caught in this file.
struct Refusal : std::runtime_error {
  using std::runtime_error::runtime_error;
};

using Reader = std::function<void(const YAML::Node& value, const std::string& place)>;
using Readers = std::map<std::string_view, Reader>;

std::string Join(const std::string& place, std::string_view key) {
  return place.empty() ? std::string(key) : place + "." + std::string(key);
}

Refusal UnknownKey(const std::string& key, const std::string& place, const Readers& readers) {
  std::vector<std::string_view> names;
  for (const auto& [name, reader] : readers) {
    names.push_back(name);
  }
  return Refusal("key '" + Join(place, key) + "' is unknown; did you mean '" +
                 Join(place, NearestName(key, names)) + "'? Known here: " + JoinNames(names));
}

// Each key, whatever its name, is given to `read`.
void ReadEachKey(const YAML::Node& node, const std::string& place,
                 const std::function<void(const std::string& key, const YAML::Node& value)>& read) {
  if (node.IsNull()) {
    return;  // A section, or a file, that says nothing.
  }
  if (!node.IsMap()) {
    throw Refusal((place.empty() ? "the file" : place) + " is no mapping from keys to values");
  }
  for (const auto& pair : node) {
    read(pair.first.as<std::string>(), pair.second);
  }
}

void ReadMapping(const YAML::Node& node, const std::string& place, const Readers& readers) {
  ReadEachKey(node, place, [&](const std::string& key, const YAML::Node& value) {
    const auto found = readers.find(key);
    if (found == readers.end()) {
      throw UnknownKey(key, place, readers);
    }
    found->second(value, Join(place, key));
  });
}

int64_t ReadNumber(const YAML::Node& node, const std::string& place, int64_t least, int64_t most) {
  int64_t number = 0;
  if (!node.IsScalar() || !YAML::convert<int64_t>::decode(node, number) || number < least ||
      number > most) {
    throw Refusal(place + " is " + YAML::Dump(node) + "; a number from " + std::to_string(least) +
                  " to " + std::to_string(most) + " is expected");
  }
  return number;
}

std::vector<int64_t> ReadSizes(const YAML::Node& node, const std::string& place) {
  if (!node.IsSequence()) {
    throw Refusal(place + " is " + YAML::Dump(node) + "; a list of numbers is expected");
  }
  std::vector<int64_t> sizes;
  for (const YAML::Node& size : node) {
    sizes.push_back(ReadNumber(size, place, 1, kMostRows));
  }
  std::sort(sizes.begin(), sizes.end());
  return sizes;
}

std::string ReadScalar(const YAML::Node& node, const std::string& place, const char* expected) {
  if (!node.IsScalar()) {
    throw Refusal(place + " is " + YAML::Dump(node) + "; " + expected + " is expected");
  }
  return node.Scalar();
}

Reader DimensionReader(int64_t& dimension) {
  return [&](const YAML::Node& node, const std::string& place) {
    dimension = ReadNumber(node, place, 1, kLastDimension);
  };
}

Reader NameReader(std::string& name) {
  return [&](const YAML::Node& node, const std::string& place) {
    name = ReadScalar(node, place, "a name");
  };
}

void RequireKey(bool is_given, const std::string& place, std::string_view key) {
  if (!is_given) {
    throw Refusal(Join(place, key) + " is missing");
  }
}

PaddingSettings::Input ReadPaddedInput(const YAML::Node& node, const std::string& place) {
  PaddingSettings::Input input;
  ReadMapping(node, place,
              {{"dimension", DimensionReader(input.dimension)},
               {"value",
                [&](const YAML::Node& value, const std::string& at) {
                  input.value = ReadScalar(value, at, "a number, true or false");
                }},
               {"lengths", NameReader(input.lengths)}});
  RequireKey(input.dimension > 0, place, "dimension");
  return input;
}

TrimmedOutput ReadTrimmedOutput(const YAML::Node& node, const std::string& place) {
  TrimmedOutput output{.dimension = 0, .as = {}};
  ReadMapping(node, place,
              {{"dimension", DimensionReader(output.dimension)}, {"as", NameReader(output.as)}});
  RequireKey(output.dimension > 0, place, "dimension");
  RequireKey(!output.as.empty(), place, "as");
  return output;
}

Readers BatchingReaders(BatchSettings& batching, PaddingSettings& padding) {
  return {
      {"max_size",
       [&](const YAML::Node& node, const std::string& place) {
         batching.most_rows = ReadNumber(node, place, 1, kMostRows);
       }},
      {"max_delay_us",
       [&](const YAML::Node& node, const std::string& place) {
         batching.delay = std::chrono::microseconds(ReadNumber(node, place, 0, kLongestDelayUs));
       }},
      {"preferred_sizes",
       [&](const YAML::Node& node, const std::string& place) {
         batching.preferred_rows = ReadSizes(node, place);
       }},
      {"padding",
       [&](const YAML::Node& node, const std::string& place) {
         ReadEachKey(node, place, [&](const std::string& name, const YAML::Node& value) {
           padding.inputs[name] = ReadPaddedInput(value, Join(place, name));
         });
       }},
      {"trimming",
       [&](const YAML::Node& node, const std::string& place) {
         ReadEachKey(node, place, [&](const std::string& name, const YAML::Node& value) {
           padding.outputs[name] = ReadTrimmedOutput(value, Join(place, name));
         });
       }},
  };
}

void ReadBatching(const YAML::Node& node, const std::string& place, BatchSettings& batching,
                  PaddingSettings& padding) {
  ReadMapping(node, place, BatchingReaders(batching, padding));
  if (!batching.preferred_rows.empty() && batching.preferred_rows.back() > batching.most_rows) {
    throw Refusal(place + ".preferred_sizes has " + std::to_string(batching.preferred_rows.back()) +
                  ", more than " + place + ".max_size, which is " +
                  std::to_string(batching.most_rows));
  }
}

void ReadQueue(const YAML::Node& node, const std::string& place, QueueSettings& queue) {
  ReadMapping(node, place, {{"max_size", [&](const YAML::Node& value, const std::string& at) {
                               queue.most_waiting =
                                   static_cast<size_t>(ReadNumber(value, at, 1, kLongestQueue));
                             }}});
}

void ReadSequences(const YAML::Node& node, const std::string& place, SequenceSettings& sequences) {
  ReadMapping(node, place,
              {{"idle_ms",
                [&](const YAML::Node& value, const std::string& at) {
                  sequences.idle =
                      std::chrono::milliseconds(ReadNumber(value, at, 1, kLongestIdleMs));
                }},
               {"max",
                [&](const YAML::Node& value, const std::string& at) {
                  sequences.most = static_cast<size_t>(ReadNumber(value, at, 1, kMostSequences));
                }},
               {"id", NameReader(sequences.inputs.id.name)},
               {"start", NameReader(sequences.inputs.start.name)},
               {"end", NameReader(sequences.inputs.end.name)}});
}

bool ReadBoolean(const YAML::Node& node, const std::string& place) {
  bool boolean = false;
  if (!node.IsScalar() || !YAML::convert<bool>::decode(node, boolean)) {
    throw Refusal(place + " is " + YAML::Dump(node) + "; true or false is expected");
  }
  return boolean;
}

// As YAML means it: true, 3, 0.5, or text.
Value ReadAny(const YAML::Node& node, const std::string& place) {
  const std::string text = ReadScalar(node, place, "true, false, a number or text");
  bool boolean = false;
  int64_t integer = 0;
  double number = 0;
  if (node.Tag() == "!") {
    return Value(text);  // In quotes.
  }
  if (YAML::convert<bool>::decode(node, boolean)) {
    return Value(boolean);
  }
  if (YAML::convert<int64_t>::decode(node, integer)) {
    return Value(integer);
  }
  return YAML::convert<double>::decode(node, number) ? Value(number) : Value(text);
}

Dict ReadCompileOptions(const YAML::Node& node, const std::string& place) {
  Dict options;
  ReadEachKey(node, place, [&](const std::string& key, const YAML::Node& value) {
    options.emplace_back(Value(key), ReadAny(value, Join(place, key)));
  });
  return options;
}

// Source: torch.compile's arguments.
Dict ReadCompile(const YAML::Node& node, const std::string& place) {
  Dict arguments;
  const auto add = [&arguments](const char* key, Value value) {
    arguments.emplace_back(Value(std::string(key)), std::move(value));
  };
  Readers readers;
  for (const char* key : {"backend", "mode"}) {
    readers[key] = [&add, key](const YAML::Node& value, const std::string& at) {
      add(key, Value(ReadScalar(value, at, "a name")));
    };
  }
  for (const char* key : {"dynamic", "fullgraph"}) {
    readers[key] = [&add, key](const YAML::Node& value, const std::string& at) {
      add(key, Value(ReadBoolean(value, at)));
    };
  }
  readers["options"] = [&add](const YAML::Node& value, const std::string& at) {
    add("options", Value(ReadCompileOptions(value, at)));
  };
  ReadMapping(node, place, readers);
  return arguments;
}

std::string ReadVersion(const YAML::Node& node, const std::string& place) {
  // Checked as a number, kept as it is written: "01" is a folder of its own.
  ReadNumber(node, place, 0, std::numeric_limits<int64_t>::max());
  return node.Scalar();
}

void ReadVersions(const YAML::Node& node, const std::string& place, VersionPolicy& policy) {
  if (node.IsScalar() && node.Scalar() == "all") {
    policy.latest.reset();
    policy.listed.clear();
  } else if (node.IsMap()) {
    ReadMapping(node, place, {{"latest", [&](const YAML::Node& value, const std::string& at) {
                                 policy.latest = ReadNumber(value, at, 1, kMostVersions);
                               }}});
  } else if (node.IsSequence() && node.size() > 0) {
    for (const YAML::Node& version : node) {
      policy.listed.push_back(ReadVersion(version, place));
    }
  } else {
    throw Refusal(place + " is " + YAML::Dump(node) +
                  "; all, {latest: N} or a list of versions is expected");
  }
}

std::vector<std::string> ReadDevices(const YAML::Node& node, const std::string& place) {
  constexpr const char* kExpected = "a device, such as cuda:0, or a list of some";
  std::vector<std::string> devices;
  if (node.IsScalar()) {
    devices.push_back(node.Scalar());
  }
  for (size_t i = 0; node.IsSequence() && i < node.size(); ++i) {
    devices.push_back(ReadScalar(node[i], place, kExpected));
  }
  if (devices.empty() || std::find(devices.begin(), devices.end(), "") != devices.end()) {
    throw Refusal(place + " is " + YAML::Dump(node) + "; " + kExpected + " is expected");
  }
  return devices;
}

Readers AllReaders(ModelSettings& settings) {
  return {
      {"batching",
       [&](const YAML::Node& value, const std::string& place) {
         ReadBatching(value, place, settings.queue.batching, settings.padding);
       }},
      {"queue", [&](const YAML::Node& value,
                    const std::string& place) { ReadQueue(value, place, settings.queue); }},
      {"sequences",
       [&](const YAML::Node& value, const std::string& place) {
         ReadSequences(value, place, settings.queue.sequences.emplace());
       }},
      {"versions",
       [&](const YAML::Node& value, const std::string& place) {
         ReadVersions(value, place, settings.versions);
       }},
      {"default_version",
       [&](const YAML::Node& value, const std::string& place) {
         settings.versions.default_version = ReadVersion(value, place);
       }},
      {"warmup_calls",
       [&](const YAML::Node& value, const std::string& place) {
         settings.warmup_calls = ReadNumber(value, place, 0, kMostWarmupCalls);
       }},
      {"interpreters",
       [&](const YAML::Node& value, const std::string& place) {
         settings.interpreters = ReadNumber(value, place, 1, kMostInterpreters);
       }},
      {"device", [&](const YAML::Node& value,
                     const std::string& place) { settings.devices = ReadDevices(value, place); }},
      {"inference_mode",
       [&](const YAML::Node& value, const std::string& place) {
         settings.inference_mode = ReadBoolean(value, place);
       }},
      {"optimized_execution",
       [&](const YAML::Node& value, const std::string& place) {
         settings.optimized_execution = ReadBoolean(value, place);
       }},
      {"traceparent", NameReader(settings.traceparent)},
      {"torch_compile",
       [&](const YAML::Node& value, const std::string& place) {
         settings.torch_compile = ReadCompile(value, place);
       }},
      {"intra_op_threads",
       [&](const YAML::Node& value, const std::string& place) {
         settings.intra_op_threads = ReadNumber(value, place, 1, kMostInterpreters);
       }},
  };
}

void ReadAll(const YAML::Node& node, ModelSettings& settings) {
  ReadMapping(node, "", AllReaders(settings));
  const auto most_rows = static_cast<size_t>(settings.queue.batching.most_rows);
  if (settings.queue.most_waiting < most_rows) {
    throw Refusal("queue.max_size is " + std::to_string(settings.queue.most_waiting) +
                  ", less than batching.max_size, which is " + std::to_string(most_rows));
  }
  if (settings.queue.sequences && most_rows > 1) {
    throw Refusal("batching.max_size is " + std::to_string(most_rows) +
                  ", with sequences, whose requests are not joined");
  }
  if (settings.intra_op_threads > 0 && settings.interpreters == 0) {
    throw Refusal(
        "intra_op_threads is " + std::to_string(settings.intra_op_threads) +
        " without interpreters: those that models share have the threads of the server's option");
  }
}

}  // namespace

Status ParseModelSettings(const std::string& text, const std::string& place,
                          ModelSettings* settings) {
  try {
    ReadAll(YAML::Load(text), *settings);
    return {};
  } catch (const Refusal& refusal) {
    return {Code::kInvalidArgument, place + ": " + refusal.what()};
  } catch (const YAML::Exception& error) {
    return {Code::kInvalidArgument, place + ": " + error.what()};
  }
}

}  // namespace torchdeploy::server
