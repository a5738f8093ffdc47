// Command oracle answers with Kubernetes' own code: one JSON question a line, one JSON answer a line.
//
// Its answers to questions.py are kept in answers.jsonl, which test_oracle.py holds the emulator to. To make them anew:
//
//	cd tests/cluster/oracle && go build -o /tmp/oracle . && python questions.py /tmp/oracle > answers.jsonl
package main

import (
	"bufio"
	"encoding/json"
	"fmt"
	"os"

	appsv1 "k8s.io/api/apps/v1"
	v1 "k8s.io/api/core/v1"
	policyv1 "k8s.io/api/policy/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	"k8s.io/apimachinery/pkg/labels"
	"k8s.io/apimachinery/pkg/runtime/schema"
	"k8s.io/apimachinery/pkg/util/diff"
	"k8s.io/apimachinery/pkg/util/strategicpatch"
	"k8s.io/apimachinery/pkg/util/validation/field"
	"k8s.io/kubernetes/pkg/api/pod"
	"k8s.io/kubernetes/pkg/apis/apps"
	internalappsv1 "k8s.io/kubernetes/pkg/apis/apps/v1"
	appsvalidation "k8s.io/kubernetes/pkg/apis/apps/validation"
	"k8s.io/kubernetes/pkg/apis/core"
	internalcorev1 "k8s.io/kubernetes/pkg/apis/core/v1"
	"k8s.io/kubernetes/pkg/apis/core/validation"
	"k8s.io/kubernetes/pkg/apis/policy"
	internalpolicyv1 "k8s.io/kubernetes/pkg/apis/policy/v1"
	policyvalidation "k8s.io/kubernetes/pkg/apis/policy/validation"
)

// question is what to do and with what.
type question struct {
	Ask      string          `json:"ask"`
	Object   json.RawMessage `json:"object"`
	Patch    json.RawMessage `json:"patch,omitempty"`
	Selector string          `json:"selector,omitempty"`
}

// answer repeats the question beside what came of it.
type answer struct {
	question
	Error  string `json:"error,omitempty"`
	Result any    `json:"result,omitempty"`
}

func invalid(group, kind, name string, errs field.ErrorList) string {
	if len(errs) == 0 {
		return ""
	}
	return apierrors.NewInvalid(schema.GroupKind{Group: group, Kind: kind}, name, errs).Error()
}

func readPod(raw []byte) (*v1.Pod, *core.Pod, error) {
	var external v1.Pod
	if err := json.Unmarshal(raw, &external); err != nil {
		return nil, nil, err
	}
	internalcorev1.SetObjectDefaults_Pod(&external)
	var internal core.Pod
	err := internalcorev1.Convert_v1_Pod_To_core_Pod(&external, &internal, nil)
	return &external, &internal, err
}

func validatePod(q question) (string, any, error) {
	_, internal, err := readPod(q.Object)
	if err != nil {
		return "", nil, err
	}
	options := pod.GetValidationOptionsFromPodSpecAndMeta(&internal.Spec, nil, &internal.ObjectMeta, nil)
	options.ResourceIsPod = true
	refused := invalid("", "Pod", internal.Name, validation.ValidatePodCreate(internal, options))
	if refused != "" {
		return refused, nil, nil
	}
	var written v1.Pod
	err = internalcorev1.Convert_core_Pod_To_v1_Pod(internal, &written, nil)
	return "", written.Spec, err
}

func validateDeployment(q question) (string, any, error) {
	var external appsv1.Deployment
	if err := json.Unmarshal(q.Object, &external); err != nil {
		return "", nil, err
	}
	internalappsv1.SetObjectDefaults_Deployment(&external)
	var internal apps.Deployment
	if err := internalappsv1.Convert_v1_Deployment_To_apps_Deployment(&external, &internal, nil); err != nil {
		return "", nil, err
	}
	options := pod.GetValidationOptionsFromPodTemplate(&internal.Spec.Template, nil)
	refused := invalid("apps", "Deployment", internal.Name, appsvalidation.ValidateDeployment(&internal, options))
	if refused != "" {
		return refused, nil, nil
	}
	var written appsv1.Deployment
	err := internalappsv1.Convert_apps_Deployment_To_v1_Deployment(&internal, &written, nil)
	return "", written.Spec, err
}

func validateBudget(q question) (string, any, error) {
	var external policyv1.PodDisruptionBudget
	if err := json.Unmarshal(q.Object, &external); err != nil {
		return "", nil, err
	}
	var internal policy.PodDisruptionBudget
	if err := internalpolicyv1.Convert_v1_PodDisruptionBudget_To_policy_PodDisruptionBudget(&external, &internal, nil); err != nil {
		return "", nil, err
	}
	options := policyvalidation.PodDisruptionBudgetValidationOptions{}
	errs := policyvalidation.ValidatePodDisruptionBudget(&internal, options)
	return invalid("policy", "PodDisruptionBudget", internal.Name, errs), external.Spec, nil
}

func diffPods(q question) (string, any, error) {
	_, before, err := readPod(q.Object)
	if err != nil {
		return "", nil, err
	}
	_, after, err := readPod(q.Patch)
	if err != nil {
		return "", nil, err
	}
	return "", diff.Diff(before.Spec, after.Spec), nil
}

func patchPod(q question) (string, any, error) {
	patched, err := strategicpatch.StrategicMergePatch(q.Object, q.Patch, v1.Pod{})
	if err != nil {
		return err.Error(), nil, nil
	}
	return "", json.RawMessage(patched), nil
}

func match(q question) (string, any, error) {
	selector, err := labels.Parse(q.Selector)
	if err != nil {
		return err.Error(), nil, nil
	}
	var sets []map[string]string
	if err := json.Unmarshal(q.Object, &sets); err != nil {
		return "", nil, err
	}
	matched := []bool{}
	for _, set := range sets {
		matched = append(matched, selector.Matches(labels.Set(set)))
	}
	return "", matched, nil
}

func main() {
	asked := map[string]func(question) (string, any, error){
		"pod": validatePod, "deployment": validateDeployment, "budget": validateBudget, "diff": diffPods, "patch": patchPod, "match": match,
	}
	questions, answers := json.NewDecoder(bufio.NewReader(os.Stdin)), json.NewEncoder(os.Stdout)
	answers.SetEscapeHTML(false)
	for {
		var q question
		if questions.Decode(&q) != nil {
			return
		}
		refused, result, err := asked[q.Ask](q)
		if err != nil {
			fmt.Fprintln(os.Stderr, err)
			os.Exit(1)
		}
		if err := answers.Encode(answer{question: q, Error: refused, Result: result}); err != nil {
			os.Exit(1)
		}
	}
}
