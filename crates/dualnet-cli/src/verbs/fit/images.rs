//! Fitting nets to images: as they are, with their positions.

use super::image_method::{ImageTask, ImageWay};
use super::job::{Folder, Source};
use super::load::split;
use super::report::{Tested, metrics_json};
use super::{Fit, MethodOption, MetricOption, PrecisionOption, ReadOption};
use crate::data::Reading;
use crate::error::{Error, Result};
use crate::images::{self, Pictures};
use crate::output;
use crate::store;
use crate::verbs::kernel::read_net;
use dualnet::Resources;
use dualnet::model::{
    Augment, ImageModel, ImageOptions, ImageReport, Images, Target, Task, Whiten, fit_image_features, fit_images,
    plan_images,
};
use dualnet::snnk::BundledNet;
use serde_json::json;
use std::time::Instant;

/// Training images, and test images where there are any, with their targets.
struct Sets {
    train: (Images, Target),
    test: Option<(Images, Target)>,
}

impl Fit {
    /// What to fit to images, if that is what was asked for: a net over positions, or preprocessing of images.
    pub(super) fn image_options(&self) -> Result<Option<ImageOptions>> {
        let asked = match (self.augment.into(), self.whiten.into()) {
            (Augment::Flip, _) => Some("--augment"),
            (_, Whiten::Mean | Whiten::Zca) => Some("--whiten"),
            (Augment::None, Whiten::None) => None,
        };
        let rows = || {
            let given = [("--job", self.job.is_some()), ("--images", self.images.is_some())];
            let Some((option, _)) = given.into_iter().find(|(_, given)| *given) else { return Ok(None) };
            let expected = "a fit to images: a net over positions, such as --net myrtle-5, or --whiten or --augment";
            Err(Error::argument(option, expected, &format!("--net {} alone", self.net), &format!("leave {option} out")))
        };
        if self.net == "auto" || BundledNet::is_meant_by(&self.net) {
            return match asked {
                None => rows(),
                Some(option) => {
                    let hint = "name the net of an exact fit, such as myrtle-5 or fc-relu-2";
                    Err(Error::argument(option, "a single net beside it", &format!("--net {}", self.net), hint))
                }
            };
        }
        let net = read_net(&self.net)?;
        if !net.is_spatial() && asked.is_none() {
            return rows();
        }
        self.check_image_options()?;
        Ok(Some(ImageOptions {
            kernel: self.kernel_choice(),
            whiten: self.whiten.into(),
            augment: self.augment.into(),
            ..ImageOptions::new(net)
        }))
    }

    /// Refuses options that fits to images do not have.
    fn check_image_options(&self) -> Result<()> {
        let by_features = matches!(self.method, MethodOption::Features);
        let method = format!("--method {}", self.method.name());
        let refuse =
            |what: &str, expected: &str, found: &str, hint: &str| Err(Error::argument(what, expected, found, hint));
        match (self.method, self.precision, self.read) {
            (MethodOption::Falkon | MethodOption::Nystrom | MethodOption::Pcg, ..) => {
                let hint = "take --method features, which need no kernel values, or exact";
                refuse("--method", "exact, features or auto for a net on images", self.method.name(), hint)
            }
            (_, PrecisionOption::F64, _) if !by_features => refuse(
                "--precision",
                "--method features beside it, for a net on images",
                &method,
                "exact kernels of images are in f32",
            ),
            (.., ReadOption::File) => refuse(
                "--read",
                "memory for a net on images",
                "file",
                "leave it out: images take a byte or four a value",
            ),
            _ if self.features.is_some() && !by_features => {
                refuse("--features", "--method features beside it", &method, "leave it out, or add --method features")
            }
            _ if self.job.is_some() && by_features => {
                refuse("--job", "an exact kernel to keep", &method, "leave it out: features of images are not kept")
            }
            _ if !matches!(self.metric, MetricOption::Auto | MetricOption::None) => {
                self.refuse_metric("a net on images")
            }
            _ if self.report.is_some() => {
                let hint = "leave it out: the page is of fits to rows";
                refuse("--report", "a net that reads rows", "a net on images", hint)
            }
            _ => Ok(()),
        }
    }

    /// Fits a net to images.
    pub(super) fn run_images(&self, options: &ImageOptions, resources: &Resources, start: Instant) -> Result<()> {
        let Sets { train: (train, target), test } = self.load_images(options)?;
        let tested = test.as_ref().map_or(0, |(images, _)| images.len());
        let task = ImageTask { images: &train, target: &target, tested, options, resources };
        let (way, why) = self.settle_images(&task)?;
        if let (ImageWay::Features(options), Some(why)) = (&way, why) {
            self.common.say(&format!("method features ({} features): {why}", options.dim));
        }
        if self.dry_run {
            return match &way {
                ImageWay::Exact => self.print_image_plan((&train, tested), &target, options, resources),
                ImageWay::Features(options) => self.print_image_feature_plan(&task, options),
            };
        }
        let mut source = self.source(&train, &target, options, resources)?;
        let model = match &way {
            ImageWay::Exact => fit_images(&train, &target, options, &mut source, resources),
            ImageWay::Features(options) => fit_image_features(&train, &target, options, resources),
        };
        let model = match model {
            Ok(model) => model,
            Err(error) => return Err(source.cause(&self.data, error)),
        };
        // Hours of work are saved before anything else may fail.
        if let Some(path) = &self.output {
            store::save(path, model.to_parts()?)?;
        }
        let tested = match test {
            None => None,
            Some((images, target)) => {
                let file = self.test.as_ref().unwrap_or(&self.data);
                Some((images.len(), model.evaluate(&images, &target, resources).map_err(Error::within(file))?))
            }
        };
        let seconds = start.elapsed().as_secs_f64();
        if self.common.json {
            let mut value = json!(model.report());
            value["loo"] = metrics_json(&model.report().loo, None, model.report().loo_rows);
            value["threads"] = json!(resources.threads());
            value["seconds"] = json!(seconds);
            if self.job.is_some() {
                value["tiles"] = source.tiles();
            }
            if let Some((rows, (metrics, coverage))) = &tested {
                value["test"] = metrics_json(metrics, *coverage, *rows);
            }
            return output::print_json(&value);
        }
        self.print_images(&model, tested, seconds)
    }

    fn source<'a>(
        &'a self,
        images: &'a Images,
        target: &Target,
        options: &ImageOptions,
        resources: &Resources,
    ) -> Result<Source<'a>> {
        let Some(path) = &self.job else { return Ok(Source::Direct) };
        let plan = plan_images(images.len(), images.shape(), target.outputs(), options, resources.threads());
        let bytes = plan.map_err(Error::within(&self.data))?.bytes;
        Ok(Source::Folder(Folder::new(path, &self.common, images, bytes)))
    }

    fn load_images(&self, options: &ImageOptions) -> Result<Sets> {
        if let [name, ..] = self.target.as_slice() {
            let hint = "images carry their targets as y, as names of folders, or in the file given with --labels";
            return Err(Error::argument("--target", "a table with named columns", name, hint));
        }
        let axes = options.net.axes().unwrap_or(2);
        let reading = Reading { labels: self.labels.as_deref(), missing: self.missing, common: &self.common };
        let data = images::load(&self.data, axes, &reading)?;
        let train = data.pictures;
        let (count, shape) = (output::count(train.images.len(), "image"), train.images.shape().clone());
        self.common.say(&format!("{}: {count} of {shape}", self.data.display()));
        let target = train.target(self.task())?;
        self.say_classes(&target);
        let like = |test: Pictures| -> Result<(Images, Target)> {
            test.check_shape(&shape, &self.data)?;
            let theirs = test.target(Some(target.task()))?;
            if let Target::Classes { labels, .. } = &target {
                test.check_classes(&theirs, labels)?;
            }
            Ok((test.images, theirs))
        };
        let test = match (&self.test, data.test) {
            (Some(path), _) => {
                let reading = Reading { labels: self.test_labels.as_deref(), ..reading };
                let data = images::load(path, axes, &reading)?;
                Some(like(data.test.unwrap_or(data.pictures))?)
            }
            (None, included) if self.holdout.is_none() => included.map(like).transpose()?,
            (None, _) => None,
        };
        let (mut train, mut test) = ((train.images, target), test);
        if let Some(wanted) = self.images {
            if !(2..=train.0.len()).contains(&wanted) {
                let expected = format!("from 2 to the {} of {}", train.0.len(), self.data.display());
                return Err(Error::argument("--images", &expected, &wanted.to_string(), "leave it out to take all"));
            }
            train = self.draw(train, wanted);
            test = test.map(|test| self.draw(test, wanted));
        }
        if let Some(share) = self.holdout {
            let (kept, out) = split(train.0.len(), share, self.common.seed)?;
            test = Some(select(&train, &out));
            train = select(&train, &kept);
        }
        Ok(Sets { train, test })
    }

    /// Some of the images, in the order they came in.
    fn draw(&self, set: (Images, Target), wanted: usize) -> (Images, Target) {
        if wanted >= set.0.len() {
            return set;
        }
        let mut rows = dualnet::model::shuffled(set.0.len(), self.common.seed);
        rows.truncate(wanted);
        rows.sort_unstable();
        select(&set, &rows)
    }

    fn print_images(&self, model: &ImageModel, tested: Option<Tested>, seconds: f64) -> Result<()> {
        let report = model.report();
        let mut text = match report.task {
            Task::Classification => format!("predicting   {} classes\n", model.classes().len()),
            Task::Regression => format!("predicting   {}\n", model.targets().join(", ")),
        };
        text += &described(report);
        text += &self.closing(report.task, Some(("leave-one-out", report.loo_rows, &report.loo)), tested, seconds);
        output::print(&text)
    }
}

fn select((images, target): &(Images, Target), rows: &[usize]) -> (Images, Target) {
    (images.select(rows), target.select(rows))
}

/// The lines about what was chosen.
fn described(report: &ImageReport) -> String {
    let whiten = match report.whiten {
        Whiten::None => "",
        Whiten::Mean => ", channels standardised",
        Whiten::Zca => ", ZCA",
    };
    let flips = if report.augment == Augment::Flip { ", flips" } else { "" };
    let (kernel, lambda) = (report.kernel.name(), output::number(report.lambda));
    let features = report.features.as_ref();
    let by = features.map_or(String::new(), |f| format!(" by {} random features", f.dim));
    let mut text = format!("model        {} ({kernel}{by}{whiten}{flips}), lambda {lambda}\n", report.net);
    if let Some(error) = features.and_then(|f| f.kernel_error) {
        text += &format!("kernel error {} of the exact kernel, on pairs of training images\n", output::number(error));
    }
    if let Some(jitter) = report.jitter {
        let condition = report.condition.map_or(String::new(), |c| format!(" (condition {})", output::number(c)));
        let jitter = output::number(jitter);
        text += &format!("note         {jitter} was added to lambda for a stable solution{condition}\n");
    }
    text
}
