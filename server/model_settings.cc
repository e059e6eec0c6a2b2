#include "server/model_settings.h"

#include <algorithm>
#include <chrono>
#include <cstddef>
#include <cstdint>
#include <functional>
#include <map>
#include <stdexcept>
#include <string>
#include <string_view>
#include <vector>

#include "server/nearest_name.h"
#include "server/request_queue.h"
#include "torchdeploy/status.h"

#include <yaml-cpp/yaml.h>

namespace torchdeploy::server {

namespace {

constexpr int64_t kMostRows = 1 << 20;
constexpr int64_t kLongestDelayUs = 60'000'000;
constexpr int64_t kLongestQueue = 1'000'000;

// Caught in this file.
struct Refusal : std::runtime_error {
  using std::runtime_error::runtime_error;
};

using Reader = std::function<void(const YAML::Node& value, const std::string& place)>;
using Readers = std::map<std::string_view, Reader>;

std::string Join(const std::string& place, std::string_view key) {
  return place.empty() ? std::string(key) : place + "." + std::string(key);
}

std::string_view NearestKey(const std::string& key, const Readers& readers) {
  std::vector<std::string_view> names;
  for (const auto& [name, reader] : readers) {
    names.push_back(name);
  }
  return NearestName(key, names);
}

void ReadMapping(const YAML::Node& node, const std::string& place, const Readers& readers) {
  if (node.IsNull()) {
    return;  // A section, or a file, that says nothing.
  }
  if (!node.IsMap()) {
    throw Refusal((place.empty() ? "the file" : place) + " is no mapping from keys to values");
  }
  for (const auto& pair : node) {
    const auto key = pair.first.as<std::string>();
    const auto found = readers.find(key);
    if (found == readers.end()) {
      throw Refusal("key '" + Join(place, key) + "' is unknown; did you mean '" +
                    Join(place, NearestKey(key, readers)) + "'?");
    }
    found->second(pair.second, Join(place, key));
  }
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

Readers BatchingReaders(BatchSettings& batching) {
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
  };
}

void ReadBatching(const YAML::Node& node, const std::string& place, BatchSettings& batching) {
  ReadMapping(node, place, BatchingReaders(batching));
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

void ReadAll(const YAML::Node& node, ModelSettings& settings) {
  ReadMapping(node, "",
              {{"batching",
                [&](const YAML::Node& value, const std::string& place) {
                  ReadBatching(value, place, settings.queue.batching);
                }},
               {"queue", [&](const YAML::Node& value, const std::string& place) {
                  ReadQueue(value, place, settings.queue);
                }}});
  const auto most_rows = static_cast<size_t>(settings.queue.batching.most_rows);
  if (settings.queue.most_waiting < most_rows) {
    throw Refusal("queue.max_size is " + std::to_string(settings.queue.most_waiting) +
                  ", less than batching.max_size, which is " + std::to_string(most_rows));
  }
}

}  // namespace

Status ReadModelSettings(const std::string& file, ModelSettings* settings) {
  try {
    ReadAll(YAML::LoadFile(file), *settings);
    return {};
  } catch (const YAML::BadFile&) {
    return {Code::kPermissionDenied, file + ": cannot be read"};
  } catch (const Refusal& refusal) {
    return {Code::kInvalidArgument, file + ": " + refusal.what()};
  } catch (const YAML::Exception& error) {
    return {Code::kInvalidArgument, file + ": " + error.what()};
  }
}

}  // namespace torchdeploy::server
