// docs/config.schema.json says what the server takes: the same keys, the same bounds.
#include <algorithm>
#include <cstdint>
#include <string>
#include <vector>

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "server/model_settings.h"
#include "server/name_list.h"
#include "torchdeploy/status.h"

#include <yaml-cpp/yaml.h>

namespace torchdeploy::server {
namespace {

using testing::EndsWith;
using testing::HasSubstr;

using Place = std::vector<std::string>;  // Keys, from the outside in.

class ConfigSchemaTest : public testing::Test {
 protected:
  // What the server says of a file that holds only `value`, there.
  static std::string ComplaintOf(const Place& place, const std::string& value) {
    std::string text;
    for (const std::string& key : place) {
      text += "{" + key + ": ";
    }
    text += value + std::string(place.size(), '}');
    ModelSettings settings;
    return ParseModelSettings(text, "config.yaml", &settings).message();
  }

  // What may be at `place`, and deeper.
  // NOLINTNEXTLINE(misc-no-recursion): as deep as the schema.
  void Check(const YAML::Node& schema, const Place& place) {
    SCOPED_TRACE(testing::PrintToString(place));
    if (schema["properties"]) {
      CheckKeys(schema, place);
    } else if (schema["additionalProperties"]) {
      Check(schema["additionalProperties"], Inside(place, "any_name"));
    } else if (schema["items"]) {
      CheckBounds(schema["items"], place, "[", "]");
    } else if (schema["minimum"]) {
      CheckBounds(schema, place, "", "");
    }
    ++places_;
  }

  int places_ = 0;

 private:
  static Place Inside(Place place, const std::string& key) {
    place.push_back(key);
    return place;
  }

  // NOLINTNEXTLINE(misc-no-recursion): as deep as the schema.
  void CheckKeys(const YAML::Node& schema, const Place& place) {
    std::vector<std::string> keys;
    for (const auto& property : schema["properties"]) {
      keys.push_back(property.first.as<std::string>());
      Check(property.second, Inside(place, keys.back()));
    }
    std::sort(keys.begin(), keys.end());
    EXPECT_FALSE(schema["additionalProperties"].as<bool>());
    EXPECT_THAT(ComplaintOf(place, "{unheard: 0}"), EndsWith("Known here: " + JoinNames(keys)));
    EXPECT_EQ(ComplaintOf(place, "{}").empty(), !schema["required"]);
  }

  void CheckBounds(const YAML::Node& schema, const Place& place, const std::string& before,
                   const std::string& after) {
    const auto least = schema["minimum"].as<int64_t>();
    const auto most = schema["maximum"].as<int64_t>();
    EXPECT_THAT(ComplaintOf(place, before + std::to_string(least - 1) + after),
                HasSubstr("a number from " + std::to_string(least) + " to " + std::to_string(most) +
                          " is expected"));
  }
};

TEST_F(ConfigSchemaTest, KeysAndBoundsAreThoseOfTheServer) {
  Check(YAML::LoadFile(CONFIG_SCHEMA), {});  // JSON is YAML.
  EXPECT_GT(places_, 10);
}

}  // namespace
}  // namespace torchdeploy::server
