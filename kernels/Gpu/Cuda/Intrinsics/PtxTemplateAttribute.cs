namespace Llama3Cluster.Kernels.Gpu.Cuda.Intrinsics;

/// <summary>
/// The PTX that a call of the method becomes. <c>%d</c>, or <c>%d0 %d1 …</c> for the fields of a structure, are the registers of the
/// result; <c>%0 %1 …</c> are the arguments, structures taken apart into their fields; <c>#0 #1 …</c> the same arguments where PTX asks
/// for a constant.
/// </summary>
[AttributeUsage(AttributeTargets.Method)]
internal sealed class PtxTemplateAttribute(string template) : Attribute
{
    public string Template { get; } = template;
}
