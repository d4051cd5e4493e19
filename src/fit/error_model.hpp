// The errors of an autoencoder where the truth is known, as functions of its latent code: what it changes of its input,
// and how its code, or its loss, blurs a variable that it has not seen.
//
// The first is of the kind p(error | code), which a store of codes needs, the second p(observed | truth), which the
// inversion of a blur needs; neither follows from the other without the ensemble that they are from.
#pragma once

#include <cstdint>
#include <filesystem>
#include <map>
#include <span>
#include <string>
#include <vector>

#include "base/random.hpp"

namespace ae::fit {

// Where codes are alike: a box of the latent space.
struct ErrorCell {
  std::vector<double> code;          // [latents]: mean
  std::vector<double> bias, spread;  // [columns]: mean and standard deviation (over rows) of reconstruction less input
  std::int64_t rows = 0;
};

// Of the numbers of an input, in its unit.
struct ReconstructionErrors {
  std::vector<std::string> columns;
  std::vector<double> scale;  // [latents]: standard deviations of codes, the unit of distances between them; > 0
  std::vector<ErrorCell> cells;
  // Errors of rows drawn at random, less their cell's bias, in units of its spread: their shape, and how columns go
  // together. 0 where there is no spread.
  std::vector<std::vector<double>> residuals;

  const ErrorCell& nearest(std::span<const double> code) const;
  // An error at a code: the bias of the nearest cell, and its spread times one of the residuals.
  void draw(std::span<const double> code, Random& random, std::span<double> error) const;
};

// What is observed where the truth is x: a normal error.
struct BlurPoint {
  double x = 0, mean = 0, sigma = 0;
};

struct ErrorModel {
  std::vector<std::string> codes;  // names of the latent numbers: z0, z1, ...
  ReconstructionErrors reconstruction;
  std::string truth;                                   // the column whose blur is known; "" = none
  std::map<std::string, std::vector<BlurPoint>> blur;  // of a code, or "loss", by rising x
  std::int64_t rows = 0;                               // that it was learned from
  std::string made_by, model;                          // program and version; digest of the model
};

// Rows of data whose truth is known, of which some are kept, drawn at random: at most 20,000, and fewer where they
// would take more than 64 MB.
class ErrorSamples {
 public:
  // `observed`: names of what has a blur, of which the first `latents` are the code. `truth`: "" = there is none.
  ErrorSamples(std::vector<std::string> observed, std::size_t latents, std::vector<std::string> columns,
               std::string truth, std::uint64_t seed);
  // `error`: reconstruction less input. `weight` >= 0: how much more often the row would be there without bias, such as
  // e^{V / kT}. A row with a number that is not finite, or without weight, is left out.
  void add(std::span<const double> observed, std::span<const double> error, double truth = 0, double weight = 1);
  std::int64_t rows() const { return reservoir_.seen(); }
  std::int64_t left_out() const { return left_out_; }

  // Cells are boxes of at least 100 rows, halved at a median of the code that varies most, and at most 64. The blur is
  // told at up to 40 groups of as many rows of like truth, by a line and the deviation from it in each, at the group's
  // mean, and of the first and last one at its end; groups whose weights are worth fewer than 20 rows are joined.
  // InputError, which begins with `data`, for fewer than kFewest rows, by number or by what their weights are worth, or
  // where the truth is always the same. To be called once.
  ErrorModel model(const std::string& data);
  static constexpr std::int64_t kFewest = 100;

 private:
  std::span<const double> row(std::size_t i) const { return std::span(kept_).subspan(i * width_, width_); }
  ReconstructionErrors errors() const;
  std::vector<BlurPoint> blur(std::size_t observed) const;

  std::vector<std::string> observed_, columns_;
  std::size_t latents_;
  std::string truth_;
  std::size_t width_;
  std::int64_t left_out_ = 0;
  std::uint64_t seed_;
  Reservoir reservoir_;
  std::vector<double> kept_;  // row after row: observed, error, truth, weight
};

std::string error_model_json(const ErrorModel& model);
// InputError, with the place in the file, for whatever error_model_json() would not have written.
ErrorModel read_error_model(const std::filesystem::path& path);
// The same of what is in the file `name`.
ErrorModel parse_error_model(const std::string& name, const std::string& json);
// By its name, which ends in .json.
bool is_error_model(const std::filesystem::path& path);

}  // namespace ae::fit
