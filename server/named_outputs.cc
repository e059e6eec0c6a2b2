#include "server/named_outputs.h"

#include <algorithm>
#include <cstddef>
#include <cstdint>
#include <span>
#include <string>
#include <utility>
#include <vector>

#include "server/byte_strings.h"
#include "server/datatype.h"
#include "torchdeploy/manifest.h"
#include "torchdeploy/value.h"

namespace torchdeploy::server {

namespace {

using Outputs = std::vector<std::pair<std::string, const Value*>>;

constexpr const char* kPositionalPrefix = "OUTPUT__";

std::string KeyText(const Value& key) {
  const auto* number = key.get<int64_t>();
  return number != nullptr ? std::to_string(*number) : *key.get<std::string>();
}

std::string Join(const std::string& prefix, const std::string& name) {
  return prefix.empty() ? name : prefix + "." + name;
}

std::string Positional(const std::string& prefix, size_t index) {
  const std::string number = std::to_string(index);
  return prefix.empty() ? kPositionalPrefix + number : prefix + "." + number;
}

class OutputNamer {
 public:
  explicit OutputNamer(std::span<const TensorSpec> declared) : declared_(declared) {}

  void Name(const Value& value, const std::string& name) {
    if (value.is<None>()) {
      return;
    }
    if (const Dict* dict = value.get<Dict>()) {
      for (const auto& [key, item] : *dict) {
        Name(item, Join(name, KeyText(key)));
      }
    } else if (const Tuple* tuple = value.get<Tuple>()) {
      NameItems(tuple->items, name);
    } else if (const List* list = value.get<List>();
               list != nullptr && !IsByteStrings(value) && !IsDeclaredText(name)) {
      NameItems(*list, name);
    } else {
      outputs_.emplace_back(name.empty() ? Positional("", 0) : name, &value);
    }
  }

  [[nodiscard]] Outputs TakeOutputs() { return std::move(outputs_); }

 private:
  void NameItems(const std::vector<Value>& items, const std::string& name) {
    for (size_t i = 0; i < items.size(); ++i) {
      Name(items[i], Positional(name, i));
    }
  }

  [[nodiscard]] bool IsDeclaredText(const std::string& name) const {
    return std::any_of(declared_.begin(), declared_.end(), [&](const TensorSpec& spec) {
      return spec.name == name && spec.datatype == kBytes;
    });
  }

  const std::span<const TensorSpec> declared_;
  Outputs outputs_;
};

}  // namespace

Outputs NameOutputs(const Value& result, std::span<const TensorSpec> declared) {
  OutputNamer namer(declared);
  namer.Name(result, "");
  return namer.TakeOutputs();
}

}  // namespace torchdeploy::server
