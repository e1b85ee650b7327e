using ILGPU;
using Llama3Cluster.Kernels.Gpu.Cuda.Intrinsics;

namespace Llama3Cluster.Kernels.Gpu.Cuda.Attention;

/// <summary>Merges the states of a row's spans, from the first to the last it sees.</summary>
internal static class SpanMerging
{
    /// <summary>Grid: (heads, rows); a group has a thread for every element.</summary>
    public static void Run<THead>(CudaAttentionArgs args)
        where THead : struct, IHeadSize
    {
        int row = Grid.IdxY, head = Grid.IdxX, element = Group.IdxX;
        int limit = (int)Ptx.Load4(args.Positions + (uint)(row * sizeof(int))) + 1;
        int spans = (limit + AttentionWork.SpanLength - 1) / AttentionWork.SpanLength;
        float largest = float.NegativeInfinity, weight = 0, sum = 0;
        for (int span = 0; span < spans; span++)
        {
            ulong state = AttentionOutput.PartialAt<THead>(args, row, head, span);
            float own = Ptx.LoadFloat(state + (uint)(THead.Elements * sizeof(float)));
            float ownWeight = Ptx.LoadFloat(state + (uint)((THead.Elements + 1) * sizeof(float)));
            float merged = Ptx.Max(largest, own);
            float a = SpanMerge.Factor(largest, merged), b = SpanMerge.Factor(own, merged);
            weight = SpanMerge.Join(weight, a, ownWeight, b);
            sum = SpanMerge.Join(sum, a, Ptx.LoadFloat(state + (uint)(element * sizeof(float))), b);
            largest = merged;
        }

        ulong result = args.Output + ((((ulong)(uint)row * (uint)args.OutputStride) + (uint)((head * THead.Elements) + element)) * sizeof(float));
        Ptx.Store(result, Ptx.Multiply(sum, Ptx.Divide(1, weight)));
    }
}
