#include "evaluate/score_files.hpp"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <filesystem>
#include <functional>
#include <string>
#include <vector>

#include "base/error.hpp"
#include "base/files.hpp"
#include "support/errors.hpp"
#include "support/recording_reporter.hpp"
#include "support/temporary_folder.hpp"

namespace ae::evaluate {
namespace {

using testing::ElementsAre;
using testing::HasSubstr;

class ScoreFiles : public testing::Test {
 protected:
  std::filesystem::path file(const std::string& name, const std::string& text) {
    write_file(folder_ / name, text);
    return folder_ / name;
  }
  LabeledRows read(const std::string& text, const LabelMeaning& meaning = {}) {
    return read_labeled_scores(file("s.csv", text), {}, meaning, reporter_);
  }
  PairedRows pair(const std::string& first, const std::string& second) {
    return read_paired_scores(file("a.csv", first), file("b.csv", second), {}, {}, reporter_);
  }
  // The one error line, without the folder of the files.
  std::string input_error(const std::function<void()>& act) {
    std::string line = test::error_of<InputError>(act);
    const std::string folder = folder_.string() + "/";
    for (auto at = line.find(folder); at != std::string::npos; at = line.find(folder)) line.erase(at, folder.size());
    return line;
  }
  std::string error_of(const std::string& text, const LabelMeaning& meaning = {}) {
    return input_error([&] { read(text, meaning); });
  }
  std::string error_of_pair(const std::string& first, const std::string& second) {
    return input_error([&] { pair(first, second); });
  }

  test::RecordingReporter reporter_;
  const test::TemporaryFolder temporary_;
  const std::filesystem::path& folder_ = temporary_.path();
};

TEST_F(ScoreFiles, ColumnsAreFoundByNameAndOthersIgnored) {
  const LabeledRows rows = read("label,id,note,score\n0,a,x,1\n1,b,y,2.5\n0.0,c,z,-3\n1e0,d,,1e-3\n");
  EXPECT_THAT(rows.normals, ElementsAre(1, -3));
  EXPECT_THAT(rows.anomalies, ElementsAre(2.5, 0.001));
  EXPECT_EQ(rows.unlabeled, 0);
  EXPECT_TRUE(reporter_.warnings.empty());
}

TEST_F(ScoreFiles, WordPairsSpeakForThemselvesInAnyCase) {
  EXPECT_THAT(read("score,label\n1,False\n2,TRUE\n").anomalies, ElementsAre(2));
  EXPECT_THAT(read("score,label\n1,anomaly\n2,Normal\n").anomalies, ElementsAre(1));
}

TEST_F(ScoreFiles, OtherLabelsNeedToBeExplained) {
  const std::string text = "score,label\n1,benign\n2,malignant\n3,odd\n";
  EXPECT_THAT(error_of(text), AllOf(HasSubstr(R"(column "label" has the labels "benign", "malignant", "odd")"),
                                    HasSubstr("--normal VALUE")));
  EXPECT_THAT(error_of("score,label\n1,0\n2,true\n"), HasSubstr(R"("0", "true")"));
  EXPECT_THAT(read(text, {{"benign"}, {}}).anomalies, ElementsAre(2, 3));
  EXPECT_THAT(read(text, {{}, {"odd", "malignant"}}).normals, ElementsAre(1));
  EXPECT_THAT(error_of(text, {{"benign"}, {"malignant"}}), HasSubstr(R"(label "odd" is neither)"));
  EXPECT_THAT(read("score,label\n1,2\n2,3.0\n3,3\n", {{"3"}, {}}).normals, ElementsAre(2, 3));
}

TEST_F(ScoreFiles, AMistypedNormalValueIsNamed) {
  EXPECT_THAT(error_of("score,label\n1,benign\n2,malignant\n", {{"bening"}, {}}),
              HasSubstr(R"(no row has the label "bening"; did you mean "benign"?)"));
}

TEST_F(ScoreFiles, AValueCannotMeanBoth) {
  EXPECT_THROW(read("score,label\n1,0\n2,1\n", {{"1"}, {"1.0"}}), UsageError);
}

TEST_F(ScoreFiles, RowsWithoutALabelAreLeftOutWithOneWarning) {
  const LabeledRows rows = read("score,label\n1,0\n,\n2,1\nabc, \n");
  EXPECT_EQ(rows.unlabeled, 2);
  EXPECT_EQ(rows.normals.size() + rows.anomalies.size(), 2u);
  ASSERT_EQ(reporter_.warnings.size(), 1u);
  EXPECT_THAT(reporter_.warnings[0], HasSubstr("2 rows without a label are left out"));
}

TEST_F(ScoreFiles, ALabelledRowNeedsAFiniteScore) {
  EXPECT_THAT(error_of("id,score,label\na,1,0\nb,,1\n"), HasSubstr("s.csv:3:3: score is missing"));
  EXPECT_THAT(error_of("score,label\n1,0\nNaN,1\n"), HasSubstr("s.csv:3:1: score is missing"));
  EXPECT_THAT(error_of("score,label\n1,0\nhigh,1\n"), HasSubstr(R"(s.csv:3:1: score "high" is not a number)"));
  EXPECT_THAT(error_of("score,label\n1,0\n1e400,1\n"), HasSubstr("is too large"));
  EXPECT_THAT(error_of("score,label\n1,0\n-inf,1\n"), HasSubstr("is too large"));
}

TEST_F(ScoreFiles, MissingColumnsAreNamedWithTheNearestName) {
  EXPECT_THAT(
      error_of("id,scores,label\na,1,0\n"),
      AllOf(HasSubstr(R"(no column "score")"), HasSubstr(R"(did you mean "scores"?)"), HasSubstr("--score-column")));
  EXPECT_THAT(error_of("id,score\na,1\n"), AllOf(HasSubstr(R"(no column "label")"), HasSubstr("--label-column")));
}

TEST_F(ScoreFiles, OneClassIsNoCurve) {
  EXPECT_THAT(error_of("score,label\n1,0\n2,0\n"), HasSubstr(R"(all labelled rows are normal (labels "0"))"));
  EXPECT_THAT(error_of("score,label\n1,true\n2,true\n"), HasSubstr("all labelled rows are anomalies"));
  EXPECT_THAT(error_of("score,label\n1,\n2,\n"), HasSubstr("no row has a label"));
}

TEST_F(ScoreFiles, AColumnOfThousandsOfValuesIsNoLabel) {
  std::string text = "score,label\n";
  for (int i = 0; i < 1001; ++i) text += "1," + std::to_string(i) + "\n";
  EXPECT_THAT(error_of(text), HasSubstr("more than 1000 different values"));
}

TEST_F(ScoreFiles, PairsAreMatchedByIdInAnyOrder) {
  const PairedRows rows = pair("id,score,label\na,1,0\nb,2,1\nc,3,0\n", "score,id\n30,c\n20,b\n10,a\n");
  EXPECT_THAT(rows.anomalies.first, ElementsAre(2));
  EXPECT_THAT(rows.anomalies.second, ElementsAre(20));
  EXPECT_THAT(rows.normals.first, ElementsAre(3, 1));
  EXPECT_THAT(rows.normals.second, ElementsAre(30, 10));
}

TEST_F(ScoreFiles, UnlabelledRowsOfAPairMayBeInEitherFile) {
  const PairedRows rows = pair("id,score,label\na,1,0\nb,2,1\nc,3,\nd,4,\n", "id,score\na,1\nb,2\nc,\n");
  EXPECT_EQ(rows.unlabeled, 2);
  EXPECT_EQ(rows.anomalies.first.size() + rows.normals.first.size(), 2u);
}

TEST_F(ScoreFiles, PairsWithDifferentRowsAreRefusedByName) {
  const std::string first = "id,score,label\na,1,0\nb,2,1\n";
  EXPECT_THAT(error_of_pair(first, "id,score\na,1\n"), HasSubstr(R"(b.csv: id "b" of a.csv is missing)"));
  EXPECT_THAT(error_of_pair(first, "id,score\na,1\nb,1\nx,2\ny,2\n"),
              HasSubstr(R"(a.csv: ids "x", "y" of b.csv are missing)"));
  EXPECT_THAT(error_of_pair(first, "id,score\na,1\nb,2\na,1\n"),
              HasSubstr(R"(b.csv:4:1: id "a" occurs a second time)"));
  EXPECT_THAT(error_of_pair("id,score,label\na,1,0\na,2,1\n", first), HasSubstr("a.csv:3:1"));
  EXPECT_THAT(error_of_pair(first, "id,score,label\na,1,0\nb,2,0\n"),
              HasSubstr(R"(b.csv:3:5: id "b" has the label "0", but "1" in a.csv)"));
  EXPECT_THAT(error_of_pair("score,label\n1,0\n2,1\n", first), HasSubstr(R"(no column "id")"));
}

}  // namespace
}  // namespace ae::evaluate
