#include "server/named_outputs.h"

#include <cstddef>
#include <cstdint>
#include <string>
#include <utility>
#include <vector>

#include "server/byte_strings.h"
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

void Name(const Value& value, const std::string& name, Outputs& outputs);

void NameItems(const std::vector<Value>& items, const std::string& name, Outputs& outputs) {
  for (size_t i = 0; i < items.size(); ++i) {
    Name(items[i], Positional(name, i), outputs);
  }
}

void Name(const Value& value, const std::string& name, Outputs& outputs) {
  if (value.is<None>()) {
    return;
  }
  if (const Dict* dict = value.get<Dict>()) {
    for (const auto& [key, item] : *dict) {
      Name(item, Join(name, KeyText(key)), outputs);
    }
  } else if (const Tuple* tuple = value.get<Tuple>()) {
    NameItems(tuple->items, name, outputs);
  } else if (const List* list = value.get<List>(); list != nullptr && !IsByteStrings(value)) {
    NameItems(*list, name, outputs);
  } else {
    outputs.emplace_back(name.empty() ? Positional("", 0) : name, &value);
  }
}

}  // namespace

Outputs NameOutputs(const Value& result) {
  Outputs outputs;
  Name(result, "", outputs);
  return outputs;
}

}  // namespace torchdeploy::server
