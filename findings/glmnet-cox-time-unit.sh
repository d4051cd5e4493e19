#!/usr/bin/env bash
# glmnet 4.1-6 (Debian 12, with R 4.2.2 and survival 3.5-3): the coefficients of a Cox model change with the unit of time.
#
# Where an event and a censored row have the same time, the censored one must count as still at risk. glmnet makes sure
# of that by adding 100 machine epsilons, 2.2e-14, to censored times before it sorts them. From times of 256 on that is
# less than half a unit in the last place, and nothing is added: such rows are then no longer told apart. Here 500 rows
# have whole days as times, most of them shared by events and censored rows, few of these beyond 256. In years and in
# days the coefficients are those of survival::coxph with ties by Breslow; in seconds they are others, and nothing is
# said. survival::coxph itself gives the same in every unit.
#
# Seen, as the largest difference of a coefficient: years 2.4e-8, days 2.4e-8, seconds 2.9e-3. Whoever compares with
# glmnet should divide times so that the largest is below 256.
#
# Needs apt-get with Debian 12's sources, and r-base-core; libraries of R go into a temporary folder.
set -euo pipefail
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
cd "$folder"
command -v Rscript > /dev/null || { echo "needs Rscript: apt-get install r-base-core" >&2; exit 2; }
apt-get download -qq -o APT::Sandbox::User=root r-cran-glmnet=4.1-6-1 r-cran-survival=3.5-3-1 r-cran-matrix=1.5-3-1 \
  r-cran-lattice=0.20-45-3 r-cran-foreach=1.5.2-1 r-cran-iterators=1.0.14-1 r-cran-shape=1.4.6-1 r-cran-codetools=0.2-19-1 \
  r-cran-rcpp=1.0.10-1
for package in *.deb; do dpkg -x "$package" .; done

cat > unit.R << 'R'
suppressMessages({ library(glmnet); library(survival) })
stopifnot(packageVersion("glmnet") == "4.1.6", packageVersion("survival") == "3.5.3")
set.seed(1)
rows <- 500
x <- matrix(rnorm(rows * 4), rows)
days <- ceiling(as.numeric(rexp(rows) * exp(-x %*% c(.5, -.3, .2, 0)) * 40))
event <- rbinom(rows, 1, .6)
by_glmnet <- function(time) as.numeric(coef(glmnet(x, Surv(time, event), family = "cox", alpha = 0, lambda = c(.1, 1e-8),
  standardize = FALSE, thresh = 1e-14, maxit = 1e6))[, 2])
by_coxph <- function(time) as.numeric(coef(coxph(Surv(time, event) ~ x, ties = "breslow",
  control = coxph.control(eps = 1e-10, toler.chol = 1e-12, iter.max = 50))))
truth <- by_coxph(days)
off <- function(fit, seconds) max(abs(fit(days * 86400 / seconds) - truth))
cat("largest time in days", max(days), "\n")
units <- c(year = 365.25 * 86400, day = 86400, second = 1)
found <- sapply(units, function(unit) off(by_glmnet, unit))
same <- sapply(units, function(unit) off(by_coxph, unit))
print(signif(rbind(glmnet = found, coxph = same), 2))
stopifnot(found["year"] < 1e-6, found["second"] > 1e-3, all(same < 1e-9))
cat("as described\n")
R
R_LIBS="$folder/usr/lib/R/site-library:$folder/usr/lib/R/library" Rscript --vanilla unit.R
