// Tests of which tokens a client must have.
#include "server/access_tokens.h"

#include <optional>
#include <string>
#include <string_view>

#include <gmock/gmock.h>
#include <grpcpp/grpcpp.h>
#include <gtest/gtest.h>

#include "torchdeploy/status.h"

#include "open_inference_grpc.pb.h"

namespace torchdeploy::server {
namespace {

using testing::AllOf;
using testing::HasSubstr;
using testing::Not;

constexpr const char* kTokens = R"(
inference: [first-inference-token, second-inference-token]
model_control: [the-operators-own-token]
)";

grpc::StatusCode CodeFor(ApiGroup group, std::optional<std::string_view> header) {
  const Result<AccessTokens> tokens = AccessTokens::Parse(kTokens, "tokens.yaml");
  EXPECT_TRUE(tokens.ok()) << tokens.status().ToString();
  return tokens->Check(group, header).error_code();
}

std::string WhyNot(const std::string& text) {
  const Result<AccessTokens> tokens = AccessTokens::Parse(text, "tokens.yaml");
  EXPECT_FALSE(tokens.ok());
  EXPECT_EQ(tokens.status().code(), Code::kInvalidArgument);
  return tokens.status().message();
}

TEST(AccessTokensTest, EachTokenOfAGroupOpensItAndNoOther) {
  EXPECT_EQ(CodeFor(ApiGroup::kInference, "Bearer first-inference-token"), grpc::StatusCode::OK);
  EXPECT_EQ(CodeFor(ApiGroup::kInference, "Bearer second-inference-token"), grpc::StatusCode::OK);
  EXPECT_EQ(CodeFor(ApiGroup::kModelControl, "Bearer the-operators-own-token"),
            grpc::StatusCode::OK);
  EXPECT_EQ(CodeFor(ApiGroup::kModelControl, "Bearer first-inference-token"),
            grpc::StatusCode::PERMISSION_DENIED);
}

TEST(AccessTokensTest, AGroupThatIsLeftOutIsClosed) {
  EXPECT_EQ(CodeFor(ApiGroup::kStatistics, "Bearer the-operators-own-token"),
            grpc::StatusCode::PERMISSION_DENIED);
}

TEST(AccessTokensTest, WhoHasNoTokenOrAnUnknownOneIsNobody) {
  for (const auto& header : {std::optional<std::string_view>(), std::optional<std::string_view>(""),
                             std::optional<std::string_view>("Bearer "),
                             std::optional<std::string_view>("first-inference-token"),
                             std::optional<std::string_view>("Basic first-inference-token"),
                             std::optional<std::string_view>("Bearer first-inference-tokeN"),
                             std::optional<std::string_view>("Bearer first-inference-token-"),
                             std::optional<std::string_view>("Bearer first-inference")}) {
    EXPECT_EQ(CodeFor(ApiGroup::kInference, header), grpc::StatusCode::UNAUTHENTICATED)
        << header.value_or("none");
  }
}

TEST(AccessTokensTest, AMistakeNamesItsPlaceAndNeverTheToken) {
  EXPECT_THAT(WhyNot("inferenc: [a-token-of-some-length]"),
              AllOf(HasSubstr("tokens.yaml"), HasSubstr("'inferenc'"), HasSubstr("'inference'")));
  EXPECT_THAT(WhyNot("inference: [a-token-of-some-length, secret]"),
              AllOf(HasSubstr("token 2"), HasSubstr("16"), Not(HasSubstr("secret"))));
  EXPECT_THAT(WhyNot("inference: [a token with some spaces]"), HasSubstr("token 1"));
  EXPECT_THAT(WhyNot("inference: a-token-of-some-length"), HasSubstr("list"));
  EXPECT_THAT(WhyNot("- a-token-of-some-length"), HasSubstr("groups"));
  EXPECT_THAT(WhyNot("inference: ["), HasSubstr("tokens.yaml"));
}

TEST(AccessTokensTest, EveryRpcButThoseOfProbesIsInAGroup) {
  const auto* service =
      inference::ModelInferRequest::descriptor()->file()->FindServiceByName("GRPCInferenceService");
  ASSERT_NE(service, nullptr);
  std::string open;
  for (int i = 0; i < service->method_count(); ++i) {
    const std::string name = service->method(i)->name();
    const std::optional<ApiGroup> group = GroupOf("/" + service->full_name() + "/" + name);
    open += group ? "" : name + " ";
    const bool is_control =
        name.starts_with("Repository") || name.ends_with("Setting") || name.ends_with("Settings");
    EXPECT_EQ(group == ApiGroup::kModelControl, is_control) << name;
    EXPECT_EQ(group == ApiGroup::kStatistics, name == "ModelStatistics") << name;
  }
  EXPECT_EQ(open, "ServerLive ServerReady ModelReady ServerMetadata ");
  EXPECT_FALSE(GroupOf("/grpc.health.v1.Health/Check"));
}

}  // namespace
}  // namespace torchdeploy::server
