namespace Llama3Cluster.Shards.Config;

/// <summary>
/// The "llama3" rope scaling of Llama 3.1 and later: frequencies whose wavelength exceeds the original context are divided by
/// <paramref name="Factor"/>, those well inside are kept, those between are blended.
/// Source: Hugging Face transformers, <c>_compute_llama3_parameters</c>; Meta's llama-models, <c>apply_scaling</c>.
/// </summary>
/// <param name="Factor">By how much long wavelengths are stretched.</param>
/// <param name="LowFrequencyFactor">Wavelengths over original context / this are stretched fully.</param>
/// <param name="HighFrequencyFactor">Wavelengths under original context / this are kept.</param>
/// <param name="OriginalContextLength">Positions of the model's first training.</param>
public sealed record RopeScaling(double Factor, double LowFrequencyFactor, double HighFrequencyFactor, int OriginalContextLength);
