#include "evaluate/model_file.hpp"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <string>
#include <vector>

#include "base/files.hpp"
#include "support/errors.hpp"
#include "support/temporary_folder.hpp"

namespace ae::evaluate::model_file_test {
namespace {

using ::testing::AllOf;
using ::testing::ElementsAre;
using ::testing::HasSubstr;
using ::testing::IsEmpty;
using ::testing::StartsWith;

// A number, a category of three levels, a number without values.
const std::vector<std::int64_t> kLevels{kNumeric, 3, kNumeric};
constexpr const char* kProfiles =
    R"([{"rows":4,"observed":3,"knots":[-0.5,1.25],"below":[0,2],"at_most":[1,3],"residual":[-0.25,0.5],"hidden_error":0.75},)"
    R"({"rows":4,"observed":4,"levels":[1,0,3]},{"rows":4,"observed":0}])";

ModelMetadata with_profile(const std::string& text) { return {{"profile", text}}; }

TEST(ModelFile, ProfilesAreReadAndWrittenAlike) {
  const auto profiles = profiles_of(with_profile(kProfiles), kLevels);
  ASSERT_EQ(profiles.size(), 3u);
  EXPECT_EQ(profiles[0].observed, 3);
  EXPECT_THAT(profiles[0].knots, ElementsAre(-0.5, 1.25));
  EXPECT_THAT(profiles[0].below, ElementsAre(0, 2));
  EXPECT_THAT(profiles[0].at_most, ElementsAre(1, 3));
  EXPECT_EQ(profiles[0].residual, std::pair(-0.25, 0.5));
  EXPECT_EQ(profiles[0].hidden_error, 0.75);
  EXPECT_THAT(profiles[1].levels, ElementsAre(1, 0, 3));
  EXPECT_EQ(profiles[2].rows, 4);
  EXPECT_FALSE(profiles[2].residual.has_value());
  EXPECT_EQ(profiles_json(profiles), kProfiles);
  EXPECT_THAT(profiles_of({}, kLevels), IsEmpty());
  EXPECT_THAT(profiles_of(with_profile("[]"), kLevels), IsEmpty());
}

TEST(ModelFile, DamagedProfilesAreRefusedInOneLine) {
  const auto first = [](const std::string& column) {
    return "[" + column + R"(,{"rows":4,"observed":4,"levels":[1,0,3]},{"rows":4,"observed":0}])";
  };
  const std::vector<std::string> damaged = {
      "",
      "{",
      "{}",
      "7",
      "[7]",
      "[",
      kProfiles + std::string("x"),
      first("7"),
      first("{}"),
      first("{\"rows\":4}"),
      first(R"({"rows":"4","observed":3})"),
      first(R"({"rows":4,"observed":5})"),
      first(R"({"rows":-4,"observed":-5})"),
      first(R"({"rows":4,"observed":3,"knots":[1,1],"below":[0,2],"at_most":[1,3]})"),
      first(R"({"rows":4,"observed":3,"knots":[2,1],"below":[0,2],"at_most":[1,3]})"),
      first(R"({"rows":4,"observed":3,"knots":[1,2],"below":[0],"at_most":[1,3]})"),
      first(R"({"rows":4,"observed":3,"knots":[1,2],"below":[0,2],"at_most":[1,4]})"),
      first(R"({"rows":4,"observed":3,"knots":[1,1e999],"below":[0,2],"at_most":[1,3]})"),
      first(R"({"rows":4,"observed":3,"knots":["a"],"below":[0],"at_most":[1]})"),
      first(R"({"rows":4,"observed":3,"levels":[1]})"),
      first(R"({"rows":4,"observed":3,"residual":[1]})"),
      first(R"({"rows":4,"observed":3,"hidden_error":-1})"),
      R"([{"rows":4,"observed":3}])",                                                  // of fewer columns
      R"([{"rows":4,"observed":3},{"rows":4,"observed":3},{"rows":4,"observed":3}])",  // levels are missing
      std::string(kProfiles, std::string(kProfiles).size() - 1) + R"(,{"rows":4,"observed":0}])"};
  for (const auto& text : damaged) {
    const auto lines = test::errors_of<InputError>([&] { profiles_of(with_profile(text), kLevels); });
    ASSERT_EQ(lines.size(), 1u) << text;
    EXPECT_THAT(lines.front(), AllOf(StartsWith("metadata \"profile\": "), HasSubstr("damaged"))) << text;
  }
}

TEST(ModelFile, EntriesThatAreNotWhatIsWrittenAreNamed) {
  const ModelMetadata metadata{{"training", "{"}, {"calibration", "[2,1]"}};
  EXPECT_EQ(test::error_of<InputError>([&] { entry(metadata, "config"); }),
            "metadata \"config\" is missing; expected a model written by ae-train");
  EXPECT_EQ(test::error_of<InputError>([&] { json_entry(metadata, "training"); }),
            "metadata \"training\" is not JSON; the file is damaged");
  for (const char* scores : {"[2,1]", "{}", "[\"a\"]", "[null]"}) {
    EXPECT_EQ(test::error_of<InputError>([&] {
                calibration_of({{"calibration", scores}});
              }),
              "metadata \"calibration\" is not a sorted array of finite numbers; the file is damaged")
        << scores;
  }
  EXPECT_THAT(calibration_of({{"calibration", "[-1.5,2,2]"}}).sorted(), ElementsAre(-1.5, 2, 2));
}

TEST(ModelFile, ErrorsInsideAreOfInputAndNameThePlaceOnce) {
  const auto lines_of = [](const Error& error) {
    return test::errors_of<InputError>([&] { in_model("m.safetensors", [&]() -> int { throw error; }); });
  };
  EXPECT_THAT(lines_of(UsageError(std::vector<std::string>{"/a: odd", "m.safetensors: /b: odd"})),
              ElementsAre("m.safetensors: /a: odd", "m.safetensors: /b: odd"));
  EXPECT_EQ(in_model("m", [] { return 3; }), 3);
}

TEST(ModelFile, FoldersStandForTheirModelAndOtherFilesAreNone) {
  const test::TemporaryFolder folder;
  const auto file = folder.path() / "model.safetensors";
  EXPECT_EQ(model_file(folder.path()), file);
  EXPECT_EQ(model_file(file), file);
  const auto complaint = [&](const ModelMetadata& metadata) {
    data::Safetensors contents;
    contents.metadata = metadata;
    write_file(file, data::to_bytes(contents));
    return test::error_of<InputError>([&] { read_model(file); });
  };
  EXPECT_THAT(complaint({}), AllOf(StartsWith(file.string() + ": not an aetools model"), HasSubstr("missing")));
  EXPECT_THAT(complaint({{"format", "pt"}}), AllOf(HasSubstr("not an aetools model"), HasSubstr("\"pt\"")));
  EXPECT_EQ(complaint({{"format", kModelFormat}}),
            file.string() + ": metadata \"version\" is missing; expected a model written by ae-train");
  EXPECT_THAT(complaint({{"format", kModelFormat}, {"version", "99"}}), HasSubstr("format version \"99\""));
  EXPECT_EQ(complaint({{"format", kModelFormat}, {"version", kModelVersion}}), "no error");
}

}  // namespace
}  // namespace ae::evaluate::model_file_test
