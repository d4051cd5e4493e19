#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <array>
#include <fstream>

#include "base/error.hpp"
#include "core/config_samples.hpp"
#include "support/errors.hpp"
#include "support/temporary_folder.hpp"

namespace ae::config::extends_test {
namespace {

using samples::Everything;
using testing::ElementsAre;
using testing::HasSubstr;
using testing::Pair;
using testing::StartsWith;

constexpr std::array<Recipe, 4> kRecipes{{
    {"plain", R"({"data": {"path": "given.csv", "columns": {"a*": "ignore", "*b": "numeric"}, "missing": ["?", "NA"]},
                  "model": {"type": "dense", "hidden": [8], "latent": 2, "dropout": 0.1},
                  "training": {"epochs": 7, "learning_rate": 0.5}})"},
    {"longer", R"({"extends": "recipe:plain", "training": {"epochs": 70}})"},
    {"circle", R"({"extends": "recipe:circle"})"},
    {"wrong", R"({"training": {"epochs": "many", "epocs": 3}})"},
}};

class ConfigExtends : public ::testing::Test {
 protected:
  std::string write(const std::string& name, const std::string& text) {
    const auto file = folder_.path() / name;
    std::filesystem::create_directories(file.parent_path());
    std::ofstream(file) << text;
    return file.string();
  }
  Everything reading(const std::string& text, const std::vector<std::string>& sets = {}) {
    Everything root;
    read_file(root, write("c.json", text), overrides_of(sets), kRecipes);
    return root;
  }
  std::vector<std::string> problems_of(const std::string& text, const std::vector<std::string>& sets = {}) {
    return test::errors_of<UsageError>([&] { reading(text, sets); });
  }
  static std::vector<Override> overrides_of(const std::vector<std::string>& sets) {
    std::vector<Override> overrides;
    for (const auto& set : sets) overrides.push_back(parse_override(set));
    return overrides;
  }
  std::string path(const std::string& name) const { return (folder_.path() / name).string(); }

  test::TemporaryFolder folder_;
};

const samples::Dense& dense(const Everything& root) { return dynamic_cast<const samples::Dense&>(*root.model); }

TEST_F(ConfigExtends, WhatTheConfigSaysWinsAndTheRestIsTheRecipes) {
  const Everything root = reading(R"({"extends": "recipe:longer", "model": {"hidden": [32, 16]},
                                      "training": {"learning_rate": 0.25}})");
  EXPECT_EQ(root.training.epochs, 70);
  EXPECT_EQ(root.training.learning_rate, 0.25);
  EXPECT_THAT(dense(root).hidden, ElementsAre(32, 16));  // arrays are replaced
  EXPECT_EQ(dense(root).latent, 2);
  EXPECT_EQ(dense(root).dropout, 0.1);
  EXPECT_THAT(root.data.missing, ElementsAre("?", "NA"));
}

TEST_F(ConfigExtends, TheOrderOfExtendsDoesNotMatterAndOverridesWin) {
  const Everything root = reading(R"({"training": {"epochs": 8}, "extends": "recipe:longer"})", {"/model/latent=3"});
  EXPECT_EQ(root.training.epochs, 8);
  EXPECT_EQ(dense(root).latent, 3);
}

TEST_F(ConfigExtends, AnotherTypeBeginsAfresh) {
  const Everything root = reading(R"({"extends": "recipe:plain", "model": {"type": "linear"}})");
  EXPECT_EQ(root.model.type(), "linear");
  EXPECT_EQ(dynamic_cast<const samples::Linear&>(*root.model).latent, samples::Linear().latent);
  EXPECT_EQ(dense(reading(R"({"extends": "recipe:plain", "model": {"type": "dense"}})")).latent, 2);
}

TEST_F(ConfigExtends, OfMapsWhoseOrderCountsTheConfigsEntriesComeLast) {
  const Everything root = reading(R"({"extends": "recipe:plain", "data": {"columns": {"a*": "numeric"}}})");
  EXPECT_THAT(root.data.columns, ElementsAre(Pair("*b", "numeric"), Pair("a*", "numeric")));
}

TEST_F(ConfigExtends, PathsStartAtTheFileThatGivesThem) {
  write("deep/base.json", R"({"data": {"path": "t.csv"}, "training": {"epochs": 3}})");
  write("deep/middle.json", R"({"extends": "base.json"})");
  EXPECT_EQ(reading(R"({"extends": "deep/middle.json"})").data.path.resolved, path("deep/t.csv"));
  EXPECT_EQ(reading(R"({"extends": "deep/middle.json", "data": {"path": "own.csv"}})").data.path.resolved,
            path("own.csv"));
  EXPECT_EQ(reading(R"({"extends": "recipe:plain"})").data.path.resolved, std::filesystem::absolute("given.csv"));
}

TEST_F(ConfigExtends, AFormerNameInEitherPlaceMeansTheSame) {
  write("old.json", R"({"model": {"layers": [9], "latent": 2}})");
  EXPECT_THAT(dense(reading(R"({"extends": "old.json"})")).hidden, ElementsAre(9));
  EXPECT_THAT(dense(reading(R"({"extends": "old.json", "model": {"hidden": [5]}})")).hidden, ElementsAre(5));
  EXPECT_THAT(dense(reading(R"({"extends": "recipe:plain", "model": {"layers": [6]}})")).hidden, ElementsAre(6));
}

TEST_F(ConfigExtends, AProblemIsToldOfTheFileThatHasIt) {
  EXPECT_THAT(problems_of(R"({"extends": "recipe:wrong", "training": {"learning_rate": -1}})"),
              testing::UnorderedElementsAre(StartsWith("recipe:wrong: /training/epochs: found \"many\""),
                                            StartsWith("recipe:wrong: /training/epocs: unknown key"),
                                            StartsWith(path("c.json") + ": /training/learning_rate: found -1")));
  write("twice.json", R"({"training": {"epochs": 1, "epochs": 2}})");
  EXPECT_THAT(problems_of(R"({"extends": "twice.json", "training": {"epochs": 3}})"),
              ElementsAre(StartsWith(path("twice.json") + ": /training/epochs: found this key more than once")));
  write("broken.json", "{\"training\":\n  {,}}");
  EXPECT_THAT(problems_of(R"({"extends": "broken.json"})"),
              ElementsAre(StartsWith(path("broken.json") + ":2:4: found")));
  write("list.json", "[1]");
  EXPECT_THAT(problems_of(R"({"extends": "list.json"})"),
              ElementsAre(StartsWith(path("list.json") + ": expected a JSON object")));
}

TEST_F(ConfigExtends, WhatIsNotThereIsToldWhereItIsNamed) {
  EXPECT_THAT(
      problems_of(R"({"extends": "recipe:plan"})"),
      ElementsAre(path("c.json") +
                  ": /extends: no recipe is called \"plan\"; there are plain, longer, circle, wrong; did you mean "
                  "\"plain\"?"));
  EXPECT_THAT(problems_of(R"({"extends": "none.json"})"),
              ElementsAre(testing::AllOf(StartsWith(path("c.json") + ": /extends: "), HasSubstr("none.json"))));
  EXPECT_THAT(problems_of(R"({"extends": 3})"), ElementsAre(HasSubstr("/extends: found 3, expected the path")));
  EXPECT_THAT(problems_of(R"({"extends": ""})"), ElementsAre(HasSubstr("/extends: found \"\", expected the path")));
}

TEST_F(ConfigExtends, CirclesAreRefused) {
  EXPECT_THAT(problems_of(R"({"extends": "c.json"})"), ElementsAre(HasSubstr("circle")));
  EXPECT_THAT(problems_of(R"({"extends": "recipe:circle"})"),
              ElementsAre(testing::AllOf(StartsWith("recipe:circle: /extends: "), HasSubstr("circle"))));
  write("a/one.json", R"({"extends": "../b/two.json"})");
  write("b/two.json", R"({"extends": "../b/../a/one.json"})");
  EXPECT_THAT(problems_of(R"({"extends": "a/one.json"})"),
              ElementsAre(testing::AllOf(HasSubstr("two.json: /extends: "), HasSubstr("circle"))));
}

TEST_F(ConfigExtends, TextAndOverridesCannotExtend) {
  Everything root;
  EXPECT_THROW(read_text(root, R"({"extends": "recipe:plain"})", "c.json", "."), UsageError);
  EXPECT_THAT(problems_of("{}", {"/extends=recipe:plain"}), ElementsAre(StartsWith("--set /extends: unknown key")));
}

TEST_F(ConfigExtends, ARecipeIsReadByItsName) {
  Everything root;
  read_recipe(root, "longer", overrides_of({"/model/latent=1"}), kRecipes);
  EXPECT_EQ(root.training.epochs, 70);
  EXPECT_EQ(dense(root).latent, 1);
  EXPECT_THAT(test::errors_of<UsageError>([&] { read_recipe(root, "x", {}, kRecipes); }),
              ElementsAre("no recipe is called \"x\"; there are plain, longer, circle, wrong"));
}

TEST_F(ConfigExtends, WhatIsPrintedExtendsNothing) {
  Everything root = reading(R"({"extends": "recipe:longer"})");
  const std::string printed = to_json(root, Paths::resolved);
  EXPECT_THAT(printed, testing::Not(HasSubstr("extends")));
  Everything again;
  read_text(again, printed, "printed", "/elsewhere");
  EXPECT_EQ(to_json(again, Paths::resolved), printed);
}

}  // namespace
}  // namespace ae::config::extends_test
